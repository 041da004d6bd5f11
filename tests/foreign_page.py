"""A web page of another site, in a real browser, that tries to launch runs on Dagster's web server.

It sends only requests that a browser sends without a preflight request to the server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from playwright.sync_api import Page

# Each of them resolves when the request is answered; true if the page could see that it was accepted.
_SCRIPT = """
window.attempts = {
  beacon: async (url, query) => {
    navigator.sendBeacon(url + '?query=' + encodeURIComponent(query), 'x');
  },
  image: (url, query) => new Promise(done => {
    const image = new Image();
    image.onload = image.onerror = () => done();
    image.src = url + '?query=' + encodeURIComponent(query);
  }),
  script: (url, query) => new Promise(done => {
    const script = document.createElement('script');
    script.onload = script.onerror = () => done();
    script.src = url + '?query=' + encodeURIComponent(query);
    document.body.append(script);
  }),
  get: (url, query) => fetch(url + '?query=' + encodeURIComponent(query), {mode: 'no-cors'}).then(() => {}),
  post_without_a_body: (url, query) =>
    fetch(url + '?query=' + encodeURIComponent(query), {mode: 'no-cors', method: 'POST'}).then(() => {}),
  post_text_that_passes_as_json: (url, query) => fetch(url, {
    mode: 'no-cors', method: 'POST', body: JSON.stringify({query}),
    headers: {'content-type': 'text/plain; application/json'},
  }).then(() => {}),
  form_of_text: (url, query) => submit(url, query, 'text/plain'),
  form: (url, query) => submit(url, query, 'application/x-www-form-urlencoded'),
  upload: (url, query) => submit(url, query, 'multipart/form-data'),
};
const submit = (url, query, type) => new Promise(done => {
  const frame = document.createElement('iframe');
  frame.name = 'frame-' + type;
  document.body.append(frame);
  const form = document.createElement('form');
  Object.assign(form, {method: 'POST', enctype: type, target: frame.name});
  form.action = url + '?query=' + encodeURIComponent(query);
  document.body.append(form);
  frame.onload = () => done();
  form.submit();
});
"""
CONNECTS = """
window.connects = url => new Promise(done => {
  const socket = new WebSocket(url.replace('http', 'ws'), 'graphql-ws');
  socket.onopen = () => done(true);
  socket.onerror = () => done(false);
});
"""

ATTEMPTS = (
    "beacon", "image", "script", "get", "post_without_a_body", "post_text_that_passes_as_json", "form_of_text", "form",
    "upload",
)  # fmt: skip


@contextmanager
def foreign_site(port: int) -> Iterator[str]:
    """Serves the page; yields its address, whose origin is different from that of every web server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><body><script>{_SCRIPT}{CONNECTS}</script></body>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()


def attempt(page: Page, name: str, graphql: str, mutation: str) -> None:
    """The page sends `mutation` to the address `graphql` in the way `name`."""
    page.evaluate("([name, url, query]) => window.attempts[name](url, query)", [name, graphql, mutation])


def connects(page: Page, graphql: str) -> bool:
    """True if the address `graphql` accepts a websocket of the page."""
    return bool(page.evaluate("url => window.connects(url)", graphql))
