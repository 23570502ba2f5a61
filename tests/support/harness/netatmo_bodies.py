"""Webhook bodies as the vendor's document shows them, byte for byte its members; masked ids as there.

Source: "Home + Security API Documentation" (dev.netatmo.com), "Webhooks examples". Nobody's home.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]
PICTURE = "https://netatmocameraimage.blob.core.windows.net/production/5xxx"

DOCUMENTED: dict[str, Json] = {
    "Smoke alarm hushed": {
        "user_id": "5944xxxxxxxxxxxxxxx6e", "event_type": "hush", "device_id": "70:ee:xx:xx:xx:xx",
        "home_id": "5943xxxxxxxxxxxxxxxxxxx", "home_name": "My home", "camera_id": "70:ee:xx:xx:xx:xx",
        "event_id": "5bbdaxxxxxxxxxxxxxx", "sub_type": 0, "message": "Daf: Activé", "push_type": "NSD-hush",
    },
    "Indoor camera set to OFF": {
        "user_id": "5944xxxxx6e", "event_type": "off", "device_id": "70:ee:xx:xx:xx:xx",
        "home_id": "5943xxxxxxxxxxx", "home_name": "My home", "camera_id": "70:ee:xx:xx:xx:xx",
        "event_id": "5bbcaxxxxxxxxx", "message": "My home: Welcome-salon : surveillance suspendue",
        "push_type": "NACamera-off",
    },
    "Indoor camera set to ON": {
        "user_id": "5c81004fd6e33f0b008b45f4", "event_type": "on", "device_id": "70:ee:50:1f:dd:6a",
        "home_id": "5970c8fb764ff4221d8b4e69", "home_name": "My home", "camera_id": "70:ee:50:1f:dd:6a",
        "event_id": "5d1a01c68b23458b6a61cb62", "push_type": "NACamera-on",
    },
    "Indoor camera has detected a movement": {
        "user_id": "5c810xxxxxxx45f4", "snapshot_id": "5d19bxxxxxx6380342",
        "snapshot_key": "f0134210ff83fxxxxxxxf770090a423d9a5", "snapshot_url": PICTURE,
        "event_type": "movement", "camera_id": "70:exxxxxdd:a7", "device_id": "70:exxxxdd:a7",
        "home_id": "5c5d79xxxx08cd594", "home_name": "Boulogne Billan.",
        "event_id": "5d19baae369359e896380341",
        "message": "Boulogne Billan: Movement detected by Indoor Camera", "push_type": "NACamera-movement",
    },
    "Indoor camera is connected": {
        "userid": "5c81004fd6e33f0b008b45f4", "eventtype": "connection", "cameraid": "70:ee:50:14:ef:0d",
        "deviceid": "70:ee:50:14:ef:0d", "homeid": "5c5d7903de151313008cd594",
        "homename": "Boulogne Billan.", "message": "Boulogne Billan.: Indoor camera connected",
        "push_type": "NACamera-connection",
    },
    "Indoor camera has detected a specific person": {
        "user_id": "5c81004xxxxxxxxxx45f4",
        "persons": [
            {"id": "e2bf7xxxxxxxxxxxxea3", "face_id": "5d66xxxxxx9b9", "face_key": "89dxxxxx22",
             "is_known": True, "face_url": PICTURE}
        ],
        "snapshot_id": "5d19bae867368a59e81cca89", "snapshot_key": "d3b3ae0229f7xb74cf8",
        "snapshot_url": PICTURE, "event_type": "person", "camera_id": "70:xxxxxx:a7",
        "device_id": "70:xxxxxx:a7", "home_id": "5c5dxxxxxxxd594", "home_name": "Boulogne Billan.",
        "event_id": "5d19bxxxxxxxxcca88",
        "message": "Boulogne Billan.: Benoit has been seen by Indoor Camera ", "push_type": "NACamera-person",
    },
    "Outdoor camera has detected a human": {
        "user_id": "5cxxxxxxxxxxxxxxf4", "snapshot_id": "5d1xxxxxxxxxxxxx4",
        "snapshot_key": "712xxxxxxxxxxxxxxxxxx6c5", "snapshot_url": PICTURE, "vignette_id": "5d1xxxxxxx33",
        "vignette_key": "120ebxxxxxxxxxxxxxxxxxxxxxxec3577", "vignette_url": PICTURE, "event_type": "human",
        "camera_id": "70xxxxxx:98", "device_id": "70:xxxxxx:98", "home_id": "57f3xxxxx905",
        "home_name": "My home", "event_id": "5dxxxxxxx3", "subevent_id": "1e9xxxxxxb2",
        "message": "My home: Personne détectée", "push_type": "NOC-human",
    },
    "Someone pressed the Netatmo Smart Doorbell": {
        "user_id": "59xxxxxxxxxxxxxxxxx", "event_type": "incoming_call", "device_id": "70:ee:xx:xx:xx:xx",
        "home_id": "59xxxxxxxxxxxxxxxxxxx", "home_name": "Ma maison", "camera_id": "70:ee:xx:xx:xx:xx",
        "event_id": "618xxxxxxxxxxxxxxxxxx", "subevent_id": "a363x-xxxx-xxx-xxxx-xxxxxxxxxxx",
        "snapshot_url": PICTURE, "vignette_url": PICTURE, "session_id": "088xxxxx-xxxx-xxxx-xxxx-xxxxxxxxx",
        "push_type": "NDB-incoming_call",
    },
    "Someone pressed the BTicino Classe300EOS external unit button": {
        "user_id": "59e4a384f5459531b28b50e1", "session_id": "b34102c5-ef0c-4715-954d-227652c526f8",
        "data": {"type": "offer"}, "device_id": "00:03:50:c0:00:2f", "home_id": "5f96ffa54641d545d1554af2",
        "module_id": "c0002f-aa6f-c73e6db3f186", "push_type": "BNCX-rtc",
    },
    "An abnormal CO level has been detected (pre-alarm)": {
        "user_id": "59e4a384f5459531b28b50e1", "event_type": "co_detected", "device_id": "70:ee:50:71:13:ee",
        "home_id": "599ab5152d3e049f0f8b53fa", "home_name": "Martin office",
        "camera_id": "70:ee:50:71:13:ee", "event_id": "618a5407021a4776227e8d17", "sub_type": 1,
        "push_type": "NCO-co_detected",
    },
    "A dangerous level of CO has been detected (alarm)": {
        "user_id": "59e4a384f5459531b28b50e1", "event_type": "co_detected", "device_id": "70:ee:50:71:13:ee",
        "home_id": "599ab5152d3e049f0f8b53fa", "home_name": "Martin office",
        "camera_id": "70:ee:50:71:13:ee", "event_id": "618a54ca021a4776227e8d18", "sub_type": 2,
        "push_type": "NCO-co_detected",
    },
}  # fmt: skip


def body(name: str, **changes: Any) -> bytes:
    """A documented body, indented as there, with some members changed."""
    return json.dumps(DOCUMENTED[name] | changes, indent=2, ensure_ascii=False).encode()
