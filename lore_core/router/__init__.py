"""The online router: which composition and tier answers a query, and the answer itself.

`config` is light and shared with the operator, which writes it into the router's ConfigMap. `decision` is pure. The server
and the loader import their libraries only when they run.
"""
