"""State of a stream, kept outside the modules so that one model serves any number of streams at once."""

from __future__ import annotations

from torch import Tensor, nn

from audiocodec.errors import InputError


class StreamState(dict[nn.Module, Tensor]):
    """What one stream remembers, keyed by the module that owns it. The model itself stays stateless.

    Layers replace entries and never write into a tensor, so `StreamState(state)` is a snapshot of a stream.
    """

    def named(self, model: nn.Module) -> dict[str, Tensor]:
        """Give the entries by module name, the form in which a state can be saved or exported."""
        return {name: self[module].contiguous() for name, module in model.named_modules() if module in self}


def recall(state: StreamState | None, module: nn.Module, x: Tensor, *shape: int) -> Tensor:
    """Give what `module` kept from the stream so far, [B, *shape], or zeros before its first chunk `x`.

    Raises:
        InputError: `state` belongs to a stream of another batch size, dtype or device.
    """
    wanted = (x.shape[0], *shape)
    past = None if state is None else state.get(module)
    if past is None:
        return x.new_zeros(wanted)
    if past.shape != wanted or past.dtype != x.dtype or past.device != x.device:
        raise InputError(
            f"the state of this stream holds {tuple(past.shape)} {past.dtype} on {past.device} "
            f"for a {type(module).__name__}, the input needs {wanted} {x.dtype} on {x.device} (batch first); "
            "a StreamState serves one stream of fixed batch size, dtype and device: start a new one"
        )
    return past
