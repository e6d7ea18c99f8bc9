"""How figures are written for people."""


def percent(share: float) -> str:
    """Writes a share as a percentage: with two digits near the ends, 100 % only if it is all.

    Args:
        share: from 0 to 1.

    Returns:
        Such as `98.4 %`.
    """
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share > 0.99999:
        return "> 99.999 %"
    if not 0.001 <= share <= 0.999:
        return f"{100 * share:.3g} %" if share < 0.5 else f"{100 * share:.3f} %"
    return f"{100 * share:.2f} %" if not 0.1 <= share <= 0.9 else f"{100 * share:.1f} %"


def hourly(events: float) -> str:
    """Writes a rate with two digits, a high one without decimals.

    Args:
        events: per hour.

    Returns:
        Such as `0.46`.
    """
    return f"{events:.2g}" if events < 10 else f"{events:.0f}"
