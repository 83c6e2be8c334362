"""Django over a cluster: views that are ordinary functions, in the threads of the web server, call Elixir servers.

`connect` puts the node into a thread of its own; any thread may use what it gives. It is made when a process of the
web server first needs it: after a fork, never before. Serve it with: gunicorn 11_django:application --threads 8

Start the Elixir side first: elixir --name app@127.0.0.1 --cookie secret examples/app.exs

Prints:
    GET /stock/apples: 200 {'sku': 'apples', 'count': 7}
    GET /stock/plums: 404 {'detail': 'no plums'}
    eight at once: [7, 7, 7, 7, 7, 7, 7, 7]
"""

import atexit
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from pyerlnode import A, Cluster, connect

APP = sys.argv[1] if "@" in sys.argv[-1] else "app@127.0.0.1"


@cache
def cluster() -> Cluster:
    """This process's node."""
    made = connect(APP, cookie="secret")
    atexit.register(made.close)
    return made


def stock(_request: HttpRequest, sku: str) -> JsonResponse:
    match cluster().call(("stock", APP), (A.get, sku)):
        case (A.ok, count):
            return JsonResponse({"sku": sku, "count": count})
    return JsonResponse({"detail": f"no {sku}"}, status=404)


urlpatterns = [path("stock/<str:sku>", stock)]
settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the example",
    ALLOWED_HOSTS=["*"],
    LOGGING={"version": 1, "loggers": {"django.request": {"level": "ERROR"}}},  # a 404 is no news
)
django.setup()
application = get_wsgi_application()

if __name__ == "__main__":
    from django.test import Client

    for sku in ("apples", "plums"):
        answer = Client().get(f"/stock/{sku}")
        print(f"GET /stock/{sku}: {answer.status_code} {answer.json()}")
    with ThreadPoolExecutor(8) as threads:
        print("eight at once:", [*threads.map(lambda _: Client().get("/stock/apples").json()["count"], range(8))])
