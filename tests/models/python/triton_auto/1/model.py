import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        auto_complete_model_config.set_max_batch_size(0)
        auto_complete_model_config.add_input({"name": "TEXT", "data_type": "TYPE_STRING", "dims": [1]})
        auto_complete_model_config.add_output({"name": "LENGTH", "data_type": "TYPE_INT64", "dims": [1]})
        return auto_complete_model_config

    def execute(self, requests):
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
            length = pb_utils.Tensor("LENGTH", (text == b"").astype("int64") * 0 + len(text[0]))
            request.get_response_sender().send(pb_utils.InferenceResponse([length]),
                                               pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
