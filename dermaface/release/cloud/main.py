"""One photo a request, the answer as JSON. `dermaface function` has written this folder."""

from pathlib import Path
import threading

from dermaface.release import contract, service
from dermaface.tflite.runtime import Classifier
from flask import Request
import functions_framework

try:
    from firebase_functions import https_fn
except ModuleNotFoundError:  # Cloud Run, and a trial at home, do without it.
    on_request = functions_framework.http
else:
    on_request = https_fn.on_request(memory=2048, cpu=1, concurrency=8, timeout_sec=60)

RELEASE = Path(__file__).resolve().with_name("release")

service.keep_memory_low()
# The golden pictures are answered here first; if one is off, the function does not start.
contract.check_release(RELEASE)
# One thread, because the server copies this process, and a copy has no threads but its own.
CLASSIFIER = Classifier(RELEASE / "model.tflite", num_threads=1)
# One photo at a time: the classifier has one input, and one large photo takes enough memory.
BUSY = threading.Lock()


@on_request
def classify(request: Request) -> dict | tuple[dict, int, dict]:
    """Answer `POST /` with an image, and `GET /health`; photos are neither kept nor logged."""
    try:
        body = service.read_body(request)
        if service.asks_for_health(request):
            return {"status": "ok", "model": service.name_model(CLASSIFIER)}
        photo = service.find_photo(body, request.content_type or "")
        with BUSY:
            return service.answer(CLASSIFIER, photo)
    except service.RefusedError as refused:
        return {"error": str(refused)}, refused.status, refused.headers
