"""/description.xml: what UPnP discovery reads of the gateway."""

from __future__ import annotations

from xml.sax.saxutils import escape

from agent.workers.deconz.about import Identity

# Home Assistant discovers by exactly these two, and by nothing else; the door is no Hue bridge, and nothing
# more here says so.
MANUFACTURER = "Royal Philips Electronics"
MANUFACTURER_URL = "http://www.dresden-elektronik.de"
DEVICE_TYPE = "urn:schemas-upnp-org:device:Basic:1"


def serial_number(bridge_id: str) -> str:
    """The bridge id without its middle."""
    return bridge_id[:6] + bridge_id[-6:]


def description_xml(identity: Identity, authority: str) -> str:
    """authority: HOST:PORT under which the asker reached us."""
    name = escape(f"{identity.name} ({authority})")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<root xmlns="urn:schemas-upnp-org:device-1-0">
<specVersion><major>1</major><minor>0</minor></specVersion>
<URLBase>http://{escape(authority)}/</URLBase>
<device>
<deviceType>{DEVICE_TYPE}</deviceType>
<friendlyName>{name}</friendlyName>
<manufacturer>{MANUFACTURER}</manufacturer>
<manufacturerURL>{MANUFACTURER_URL}</manufacturerURL>
<modelDescription>Portero, a door that speaks as a deCONZ gateway</modelDescription>
<modelName>deCONZ</modelName>
<modelNumber>deCONZ</modelNumber>
<serialNumber>{serial_number(identity.bridge_id)}</serialNumber>
<UDN>uuid:{identity.uuid}</UDN>
</device>
</root>
"""
