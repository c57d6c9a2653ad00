"""The main job as a visitor does it, over HTTP and WebSocket only; benchmarks build on it too."""
