"""Where two accounts of the same books differ."""

from typing import Any

from .model import Figures


def differences(expected: Figures, found: Figures) -> list[str]:
    """What differs, named by its place."""
    lines = []
    for part, of_part in expected.items():
        for name in sorted({*of_part, *found[part]}):
            model, service = of_part.get(name), found[part].get(name)
            if model != service:
                lines.append(f"{part}: {name}{_compared(model, service)}")
    return lines


def _compared(model: Any, service: Any) -> str:  # noqa: ANN401  (whatever compares)
    """Two values that differ, only where they do."""
    if isinstance(model, dict) and isinstance(service, dict):
        keys = [key for key in {**model, **service} if model.get(key) != service.get(key)]
        return "".join(f" {key}{_compared(model.get(key), service.get(key))}" for key in keys)
    if isinstance(model, list) and isinstance(service, list) and len(model) == len(service):
        pairs = enumerate(zip(model, service, strict=True))
        return "".join(f" [{n}]{_compared(a, b)}" for n, (a, b) in pairs if a != b)
    return f"\n    model    {model}\n    services {service}\n"
