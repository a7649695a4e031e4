"""Put the notebooks into the wheel; all else about the package stands in pyproject.toml."""

from pathlib import Path
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithNotebooks(build_py):
    """Copies `notebooks/` into the package, from where `dermaface new` lays them out."""

    def run(self):
        """Build the package; an editable one finds the notebooks beside itself."""
        super().run()
        if not self.editable_mode:
            source = Path(__file__).resolve().with_name("notebooks")
            for path in [*source.glob("[!.]*/*"), *source.glob("*.ipynb")]:
                if path.suffix not in (".ipynb", ".yaml"):
                    continue
                target = Path(self.build_lib) / "dermaface/notebooks" / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


setup(cmdclass={"build_py": BuildWithNotebooks})
