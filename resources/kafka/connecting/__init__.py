"""Connections to Kafka: logins, quotas, and why there is no answer."""
