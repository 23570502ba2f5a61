from __future__ import annotations

from xml.etree import ElementTree

from agent.workers.deconz.about import Identity
from agent.workers.deconz.description import description_xml, serial_number

SPACE = "{urn:schemas-upnp-org:device-1-0}"


def device(name: str) -> ElementTree.Element:
    identity = Identity(bridge_id="A2B8BBFFFF07BF8F", mac="a2:b8:bb:07:bf:8f", uuid="1-2", name=name)
    root = ElementTree.fromstring(description_xml(identity, "192.168.1.9:8080"))
    found = root.find(f"{SPACE}device")
    assert found is not None
    assert root.findtext(f"{SPACE}URLBase") == "http://192.168.1.9:8080/"
    return found


def test_what_discovery_reads() -> None:
    found = device("Front door")
    # Home Assistant's manifest names exactly these two.
    assert found.findtext(f"{SPACE}manufacturer") == "Royal Philips Electronics"
    assert found.findtext(f"{SPACE}manufacturerURL") == "http://www.dresden-elektronik.de"
    assert found.findtext(f"{SPACE}serialNumber") == "A2B8BB07BF8F"
    assert found.findtext(f"{SPACE}UDN") == "uuid:1-2"


def test_it_is_no_hue_bridge() -> None:
    found = device("Front door")
    assert found.findtext(f"{SPACE}modelName") == "deCONZ"
    assert "hue" not in ElementTree.tostring(found, encoding="unicode").lower()


def test_a_name_cannot_break_it() -> None:
    assert device('<&"> ]]>').findtext(f"{SPACE}friendlyName") == '<&"> ]]> (192.168.1.9:8080)'


def test_the_serial_number_is_the_bridge_id_without_its_middle() -> None:
    assert serial_number("00212EFFFF012345") == "00212E012345"
