from tests.pipelines.authoring.conftest import tree

__all__ = ["tree"]
