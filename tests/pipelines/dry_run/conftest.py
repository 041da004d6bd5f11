from tests.pipelines.publishing.conftest import embedded_world, world

__all__ = ["embedded_world", "world"]
