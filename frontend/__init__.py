"""The pages' templates and static files, where they are and under which URL they are served.

Knows no page, no database and no server: `server/web` renders these templates. The static URL
carries a digest of the whole folder, so that a browser may keep a file for ever and modules that
import one another by relative paths always come from one release.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parent
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"


@dataclass(frozen=True)
class Assets:
    """URLs of the static files of one release."""

    version: str

    @property
    def prefix(self) -> str:
        """The path below which every static file of this release is served."""
        return f"/static/{self.version}"

    def url(self, path: str) -> str:
        """The URL of one static file, such as `css/base.css`."""
        return f"{self.prefix}/{path}"


def read_assets(root: Path = STATIC) -> Assets:
    """Digest the static folder: names and contents, in a fixed order."""
    digest = sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return Assets(digest.hexdigest()[:12])
