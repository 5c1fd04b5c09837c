"""Tensors in the words of the Open Inference Protocol: JSON and bytes, in and out."""

from mlservice.tensors.datatypes import BYTES as BYTES
from mlservice.tensors.datatypes import Coded as Coded
from mlservice.tensors.datatypes import Tensor as Tensor
from mlservice.tensors.datatypes import wrong as wrong
from mlservice.tensors.request import HEADER_LENGTH as HEADER_LENGTH
from mlservice.tensors.request import InferenceRequest as InferenceRequest
from mlservice.tensors.request import Input as Input
from mlservice.tensors.request import WantedOutput as WantedOutput
from mlservice.tensors.request import read_request as read_request
from mlservice.tensors.request import read_tensors as read_tensors
from mlservice.tensors.request import read_wanted as read_wanted
from mlservice.tensors.request import split as split
from mlservice.tensors.response import InferenceResponse as InferenceResponse
from mlservice.tensors.response import Output as Output
from mlservice.tensors.response import RowForm as RowForm
from mlservice.tensors.response import in_json as in_json
from mlservice.tensors.response import write as write
