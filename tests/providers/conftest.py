from tests.real_model import llama_server

__all__ = ["llama_server"]
