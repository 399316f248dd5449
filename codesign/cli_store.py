"""The command around stores: `trials`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli_common import Json, RunPath, print_json
from codesign.errors import StoreError

if TYPE_CHECKING:
    from codesign.campaign.export import Kept


def trials(
    run: RunPath,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write one row a trial: a name that ends in .parquet or .csv.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the campaigns whose trials a run folder keeps, and write these trials for other programs.

    Nothing in the store is changed; a campaign may be running meanwhile.
    """
    from codesign.campaign.export import Kept, export_trials
    from codesign.campaign.store import Store
    from codesign.search.folder import RunFolder

    path = RunFolder(run).store
    if not path.exists():
        raise StoreError(f"{run} keeps no trials (no {path.name}): name a folder that `codesign campaign` has written")
    with Store(path, reading=True) as store:
        found = [Kept.of(store, key) for key in store.campaigns()]
        rows = export_trials(store, out) if out else None
    if as_json:
        campaigns = [kept.to_json() for kept in found]
        return print_json({"store": str(path), "campaigns": campaigns, "file": str(out) if out else None, "rows": rows})
    print("\n".join(map(_line, found)) or f"{path} has no trials")
    if out:
        print(f"{rows} rows: {out}")
    return None


def _line(kept: "Kept") -> str:
    key, model = kept.key, kept.key.model
    amount = f"ber {model.ber}" if model.n_flips is None else f"{model.n_flips} flips"
    targets = "+".join(target.label for target in model.targets)
    rates = [f"{name} {kept.rate(name):.5f}" for name in ("correct", "sdc1") if name in kept.totals]
    return (
        f"{key.digest[:16]}  {kept.trials} trials of {key.samples} samples: {', '.join(rates)}; {key.simulator}, "
        f"network {key.network_name} {key.network[:8]}, plan {key.plan[:8]}, {targets}, {amount}, "
        f"{model.lifetime.value}, seed {model.seed}"
    )
