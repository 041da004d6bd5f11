"""Dead letters tried again under the present module."""
