"""What a decoupled model of Triton's sends ahead of a client that reads slowly."""
import threading

from modeld_worker.triton import SENT_MAX, InferenceRequest, InferenceResponse

PATIENCE_S = 60


def sending(n):
    """(sender, thread that sends n responses)"""
    sender = InferenceRequest().get_response_sender()
    sender.bound()
    thread = threading.Thread(target=lambda: [sender.send(InferenceResponse()) for _ in range(n)], daemon=True)
    thread.start()
    return sender, thread


def test_no_more_wait_than_there_may_be():
    sender, thread = sending(10 * SENT_MAX)
    for _ in range(10 * SENT_MAX):
        assert sender.sent.qsize() <= SENT_MAX
        sender.sent.get(timeout=PATIENCE_S)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_who_waits_goes_on_when_the_request_is_over():
    sender, thread = sending(10 * SENT_MAX)
    sender.sent.get(timeout=PATIENCE_S)
    sender.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive() and sender.sent.qsize() <= 1
