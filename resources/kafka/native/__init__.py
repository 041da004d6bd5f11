"""The native way to produce and to read: librdkafka called directly."""
