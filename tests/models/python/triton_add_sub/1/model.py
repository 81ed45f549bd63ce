import json

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        assert args["model_name"] == "triton_add_sub" and args["model_version"] == "1"
        self.limit = float(config["parameters"]["limit"]["string_value"])
        self.types = [pb_utils.triton_string_to_numpy(pb_utils.get_output_config_by_name(config, name)["data_type"])
                      for name in ("OUTPUT0", "OUTPUT1")]

    def execute(self, requests):
        responses = []
        for request in requests:
            a = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            b = pb_utils.get_input_tensor_by_name(request, "INPUT1")
            if a.max() > self.limit:
                error = pb_utils.TritonError("too large", pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            if a.max() == self.limit:
                raise ValueError("just at the limit")
            b = pb_utils.Tensor.from_dlpack("b", b).as_numpy()
            responses.append(pb_utils.InferenceResponse(output_tensors=[
                pb_utils.Tensor("OUTPUT0", (a + b).astype(self.types[0])),
                pb_utils.Tensor("OUTPUT1", (a - b).astype(self.types[1]))]))
        return responses

    def finalize(self):
        pb_utils.Logger.log_info("cleaning up")
