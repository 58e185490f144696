"""The data plane: find the endpoint, route, stream."""
