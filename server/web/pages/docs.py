"""The API page: every operation, listed by this server without loading anything from elsewhere."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from server.web.contexts import DocsPage
from server.web.deps import RendererDep
from server.web.openapi_view import operations_of

router = APIRouter(include_in_schema=False)

EXAMPLES = """\
curl {base}/saes.json
curl '{base}/sae/1/features.json?sort=max&limit=10'
curl '{base}/sae/1/feature/0.json?pole=-'
curl {base}/api/prompt -H 'content-type: application/json' -d '{{"sae": 1, "text": "She was happy."}}'
curl -N {base}/api/steer -H 'content-type: application/json' \\
  -d '{{"model": 1, "prompt": "Once upon a time", "edits": [{{"sae": 1, "feature": 0}}], "strengths": [-4, 0, 4]}}'"""


@router.get("/docs")
def get_docs(request: Request, renderer: RendererDep) -> HTMLResponse:
    """The operations in the order of the OpenAPI document."""
    base = str(request.base_url).rstrip("/")
    context = DocsPage(operations_of(request.app.openapi()), EXAMPLES.format(base=base))
    return renderer.page(request, "docs.html", context, active="API")
