"""The service as the Elixir application meets it."""

from typing import Any

import pytest

from pyerlnode import A
from pyerlnode.testing.errors import BeamError
from pyerlnode.testing.waiting import wait_for

pytestmark = pytest.mark.beam(elixir=True)


def test_elixir_adds_up_prices(shop: Any, service: Any) -> None:
    shop.elixir("Shop.set(n, sku, cents)", n=A[service.name], sku="tea", cents=350)
    shop.elixir("Shop.set(n, sku, cents)", n=A[service.name], sku="cup", cents=900)
    assert shop.elixir('Shop.total(n, ["tea", "cup", "tea"])', n=A[service.name]) == (A.ok, 1600)
    assert shop.elixir('Shop.total(n, ["tea", "moon"])', n=A[service.name]) == (A.error, A.unknown_sku)


def test_elixir_calls_the_exported_function(shop: Any, service: Any) -> None:
    assert shop.elixir("Shop.sale(n, 1000, 25)", n=A[service.name]) == 750


def test_a_wrong_discount_is_an_error_in_elixir(shop: Any, service: Any) -> None:
    with pytest.raises(BeamError, match="a discount of 101 %"):
        shop.elixir("Shop.sale(n, 1000, 101)", n=A[service.name])


def test_subscribers_are_told_and_forgotten_when_they_die(shop: Any, service: Any) -> None:
    pid, agent = shop.elixir("Shop.subscriber(n)", n=A[service.name])
    service.cast("prices", (A.set, b"tea", 300))
    wait_for(lambda: shop.elixir("Shop.seen(a)", a=agent) == [(A.price_changed, b"tea", 300)])
    shop.elixir("Process.exit(p, :kill)", p=pid)
    wait_for(lambda: service.call("prices", A.subscribers) == 0)


def test_the_application_notices_when_the_service_dies(shop: Any, service: Any) -> None:
    seen = shop.elixir(
        """
        ref = Process.monitor({:prices, n})
        GenServer.cast({:prices, n}, :nonsense)
        receive do {:DOWN, ^ref, :process, _, reason} -> reason after 5000 -> :nothing end
        """,
        n=A[service.name],
    )
    assert seen[:3] == (A.python_error, b"ValueError", b"not a price")
