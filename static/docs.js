// Shows /openapi.json with Swagger UI, which is served from our own origin.
window.SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
