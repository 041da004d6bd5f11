from tests.pipelines.publishing.conftest import world

__all__ = ["world"]
