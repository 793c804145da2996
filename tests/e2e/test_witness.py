"""The witness itself: without the product, what the recorder saw is what each test asked for."""

from collections import Counter

import clients
import recording


def test_a_direct_session_is_recorded_as_it_was_asked_for(scene, direct):
    counted = Counter((call.tool, call.status, call.error) for call in recording.calls(direct.at_server))
    asked = Counter()
    for ask in scene.server.asks:
        asked[ask.label, ask.status, ask.error] += ask.times
    assert counted == asked
    assert recording.server_info(direct.at_server)[2] == clients.agreed(scene.client, scene.server)
