"""What a processor or a GPU computes in, as torch knows it."""

import torch


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 itself; emulated it would be slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    can = torch.cpu.get_capabilities()
    return any(can.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
