"""Whether a study's model can be carried over, without training it."""

from codesign.network import Network
from codesign.study import Study
from codesign.train.builder import Quantisation, load_builder
from codesign.train.convert import network_from_keras
from codesign.train.training import _seeded, check_model, taken


def probe(study: Study) -> Network:
    """The network of the model file; of a builder, that of its model as it is before the training.

    Raises ConfigError, one line, for a model that cannot be built, loaded, converted, or does not fit the data.
    """
    if study.model_path is not None:
        return taken(study).network
    builder = load_builder(study)
    data = builder.data()
    bits = int(study.space.weight_bits.first)
    activations = study.space.activation_bits
    with _seeded(study.seed):
        model = builder.model(Quantisation(bits, int(activations.first) if activations else bits))
    check_model(model, f"{builder.path}: build_model", data, logits=builder.loss is None)
    return network_from_keras(model, study.name, builder.input_type, study.hardware.backend)
