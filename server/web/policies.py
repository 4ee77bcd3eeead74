"""What a page may load and what a browser may do with it: the headers every answer carries.

Knows header names and values only.
"""

_POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
# Plotly writes style elements and attributes from its script, and its WebGL layer (regl) compiles
# its draw calls with Function(): only the map page allows both. Inline scripts stay forbidden.
_MAP_POLICY = {
    **_POLICY,
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
}

# A card may stand on any page; browsers heed frame-ancestors and then not x-frame-options.
_EMBED_POLICY = {**_POLICY, "frame-ancestors": "*"}


def _join(policy: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in policy.items())


POLICY = _join(_POLICY)
MAP_POLICY = _join(_MAP_POLICY)
EMBED_POLICY = _join(_EMBED_POLICY)

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
