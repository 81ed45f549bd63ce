import time

import modeld_worker


def infer(x, context):
    context.log.info("waiting")
    while not context.cancelled():
        time.sleep(0.01)
    context.log.info("given up")
    raise modeld_worker.Cancelled
