"""The work of a load: a file is loaded, or compared with the symbols that there are."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import Any

from django.db import transaction
from django.db.models import Q

from quotes import catalogue
from quotes.catalogue import InvalidCatalogue, Outcome
from quotes.models import Load, Upload
from quotes.models.history import user_of
from quotes.staff.loading import Run
from quotes.staff.outcomes import counts_of, keep_history, values

State = Load.State
MAX_SHOWN = 500  # rows of the file


def waiting(by: str) -> Load | None:
    """Return what a user looked at or cancelled, if its file is still kept and can be loaded."""
    looked = Q(state=State.SHOWN) | Q(state=State.RUNNING, is_preview=True)
    loads = Load.objects.filter(looked | Q(state=State.CANCELLED), by=by).defer("report")
    load = loads.filter(upload__isnull=False).first()
    return load if load and load.upload_id and Upload.of(by, load.upload_id) else None


def work_on(run: Run, content: bytes, user: Any) -> None:
    """Load the file of a run, or find what that would do."""
    load = run.load
    try:
        found = catalogue.read(BytesIO(content), run.report)
    except InvalidCatalogue:
        forget_file(load)
        raise
    with transaction.atomic():
        outcomes = catalogue.load(
            found.entries, load.board, dry_run=load.is_preview, report=run.report
        )
        report = {"format": str(found.format), **described(outcomes)}
        result = {"seal": seal(outcomes), "counts": counts_of(outcomes), "report": report}
        differs = load.seal not in ("", result["seal"])
        if load.is_preview:
            run.end(State.SHOWN, **result)
        elif differs:
            transaction.set_rollback(True)
        else:
            keep_history(outcomes, user_of(user), load.name, run.report)
            forget_file(load)
            run.end(State.DONE, **result)
    if differs:
        run.end(State.REFUSED, **result)


def forget_file(load: Load) -> None:
    """Delete the kept file of a load."""
    if load.upload:
        load.upload.delete()


def seal(outcomes: list[Outcome]) -> str:
    """Return a text that is another one if a load would change something else."""
    done = [(each.code, each.done, each.changes, each.board, each.filled) for each in outcomes]
    return sha256(repr(done).encode()).hexdigest()


def described(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return the rows that change something, as a page shows them in any language."""
    changing = [each for each in outcomes if each.done != "unchanged" or each.board or each.filled]
    rows = [
        [each.line, each.code, each.done, values(each), each.board, each.filled]
        for each in changing[:MAX_SHOWN]
    ]
    return {"rows": rows, "left_out": max(0, len(changing) - MAX_SHOWN)}
