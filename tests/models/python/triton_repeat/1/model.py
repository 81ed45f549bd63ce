import threading

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        assert pb_utils.using_decoupled_model_transaction_policy(args["model_config"])

    def execute(self, requests):
        for request in requests:
            numbers = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy().copy()
            if len(numbers) == 0:
                raise ValueError("nothing to repeat")
            threading.Thread(target=self.answer, args=(request.get_response_sender(), numbers)).start()

    def answer(self, sender, numbers):
        for n in numbers:
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", n.reshape(1))]))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
