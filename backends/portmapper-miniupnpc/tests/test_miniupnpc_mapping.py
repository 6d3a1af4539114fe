"""Mappings through the backend, made on a fake of the C library's object."""

import pytest
from fake_library import GATEWAY, OTHERS, FakeRouter, opened, request
from portmapper_miniupnpc import MiniupnpcBackend, backend

import portmapper
from portmapper import BackendOptions, Lease

pytestmark = pytest.mark.anyio


def other_port(lease: Lease) -> int:
    assert lease.external.port >= 49152
    return lease.external.port


async def test_maps_and_reads_back(router: FakeRouter) -> None:
    lease = await (await opened()).map(request())
    assert (str(lease.internal), str(lease.external)) == ("192.168.1.20:8080", "203.0.113.7:8080")
    assert (lease.lifetime, lease.backend, lease.gateway) == (7200, "miniupnpc", GATEWAY)
    assert router.table == {(8080, "TCP"): ("192.168.1.20", 8080, "portmapper", True, 7200)}


async def test_the_description_cannot_break_the_request(router: FakeRouter) -> None:
    """The library puts it into the XML as it is."""
    await (await opened()).map(request(description="<a>&\u00e9"))
    assert router.table[8080, "TCP"][2] == "&lt;a&gt;&amp;?"


async def test_a_renewal_repeats_the_granted_port(router: FakeRouter) -> None:
    opened_one = await opened()
    router.table[8080, "TCP"] = OTHERS
    router.refusals = ["ConflictInMappingEntry"]
    lease = await opened_one.map(request())
    port = other_port(lease)
    router.asked.clear()
    assert (await opened_one.map(request(), renew=lease)).external == lease.external
    assert [call for call in router.asked if call.startswith("add")] == [f"addportmapping {port} 7200"]


async def test_a_renewal_goes_to_no_other_port(router: FakeRouter) -> None:
    opened_one = await opened()
    lease = await opened_one.map(request())
    router.refusals = ["ConflictInMappingEntry"]
    with pytest.raises(portmapper.RequestRefused, match="718"):
        await opened_one.map(request(), renew=lease)


async def test_a_device_with_permanent_mappings_only(router: FakeRouter) -> None:
    opened_one = await opened()
    router.refusals = ["OnlyPermanentLeasesSupported"]
    lease = await opened_one.map(request())
    assert lease.permanent
    await opened_one.map(request(), renew=lease)
    adds = [call for call in router.asked if call.startswith("add")]
    assert adds == ["addportmapping 8080 7200", "addportmapping 8080 0", "addportmapping 8080 0"]


async def test_no_permanent_mapping_where_it_is_not_wanted(router: FakeRouter) -> None:
    router.refusals = ["OnlyPermanentLeasesSupported"]
    options = BackendOptions(timeout=2.2, key=bytes(16), permanent=False)
    with pytest.raises(portmapper.RequestRefused, match="725"):
        await (await MiniupnpcBackend.open(GATEWAY, options)).map(request())
    assert router.table == {}


async def test_no_other_refusal_makes_a_mapping_permanent(router: FakeRouter) -> None:
    router.refusals = ["Action Failed"] * 3
    with pytest.raises(portmapper.RequestRefused):
        await (await opened()).map(request())
    assert [call for call in router.asked if call.startswith("add")] == ["addportmapping 8080 7200"]


async def test_a_taken_port_gives_another(router: FakeRouter) -> None:
    router.refusals = ["ConflictInMappingEntry", "ConflictWithOtherMechanisms"]
    other_port(await (await opened()).map(request()))


async def test_an_exact_one_does_not(router: FakeRouter) -> None:
    router.refusals = ["ConflictInMappingEntry"]
    with pytest.raises(portmapper.RequestRefused, match="718 ConflictInMappingEntry"):
        await (await opened()).map(request(external_port=8080, exact=True))


async def test_the_tries_end(router: FakeRouter) -> None:
    router.refusals = ["ConflictInMappingEntry"] * 50
    with pytest.raises(portmapper.RequestRefused):
        await (await opened()).map(request())
    assert len(router.refusals) == 50 - 1 - backend.PORT_TRIES


async def test_a_device_that_wants_the_same_ports(router: FakeRouter) -> None:
    router.refusals = ["SamePortValuesRequired"]
    assert (await (await opened()).map(request(external_port=9000))).external.port == 8080


async def test_the_lease_is_what_the_device_says(router: FakeRouter) -> None:
    router.longest_lease = 600
    assert (await (await opened()).map(request())).lifetime == 600


async def test_a_device_that_does_not_tell_the_lease(router: FakeRouter) -> None:
    router.longest_lease = 0
    assert (await (await opened()).map(request())).lifetime == 7200


async def test_a_lease_is_at_most_a_week(router: FakeRouter) -> None:
    assert (await (await opened()).map(request(lifetime=10**7))).lifetime == 604800


async def test_a_yes_without_a_mapping_is_none(router: FakeRouter) -> None:
    """The library takes any answer without an error code for a yes."""
    router.forgets = True
    with pytest.raises(portmapper.ProtocolError, match="does not know of it"):
        await (await opened()).map(request())
    assert "deleteportmapping 8080" in router.asked  # it may be there all the same


async def test_a_yes_for_somebody_else_is_none(router: FakeRouter) -> None:
    router.gives_to_others = True
    with pytest.raises(portmapper.ProtocolError, match="leads elsewhere"):
        await (await opened()).map(request())
    assert "deleteportmapping 8080" not in router.asked


@pytest.mark.parametrize("entry", [OTHERS, ("192.168.1.20", 81, "another program", True, 0)])
async def test_a_port_that_somebody_has_is_not_asked_for(
    router: FakeRouter, entry: tuple[str, int, str, bool, int]
) -> None:
    """Some devices would let the newer mapping replace the older one."""
    router.table[8080, "TCP"] = entry
    other_port(await (await opened()).map(request()))
    assert router.table[8080, "TCP"] == entry


async def test_a_port_that_somebody_has_by_now_is_not_taken_back(router: FakeRouter) -> None:
    opened_one = await opened()
    lease = await opened_one.map(request())
    router.table[8080, "TCP"] = OTHERS
    with pytest.raises(portmapper.MappingGone, match=r"leads to 192\.168\.1\.99 port 8080"):
        await opened_one.map(request(), renew=lease)
    assert router.table == {(8080, "TCP"): OTHERS}


async def test_an_unknown_external_address_does_not_lose_the_mapping(router: FakeRouter) -> None:
    router.fails["externalipaddress"] = Exception("Action Failed")
    assert (await (await opened()).map(request())).external.address is None
