"""HTTP and WebSocket in, `ChatService` out."""
