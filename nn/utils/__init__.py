"""What is done to the parameters of modules: clipping, flattening, reparametrisation; and packed sequences."""

from ...autograd.clipping import clip_grad_norm_, clip_grad_value_
from . import parametrizations, parametrize, rnn
from .convert_parameters import parameters_to_vector, vector_to_parameters
from .spectral_norm import remove_spectral_norm, spectral_norm
from .weight_norm import remove_weight_norm, weight_norm
