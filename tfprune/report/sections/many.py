"""What a chart draws of so many runs that curves of their own would be too many to tell apart, or to hold on a page."""
from tfprune.report.measured import named

CURVES = 40  # of a chart; more are bundled
LINES, RUNS = 60, 250  # with an amount of their own axis, such as perturbation curves; and runs that these are means of
COLOURS = 7


def bundled(traces, labels):
    """(traces, a sentence): curves as they are; of more than CURVES a trace for each value of the setting that tells them apart best.

    Args:
      traces: of `parts.curve`, one for each of `labels`, which are those of `together.curve_labels`.

    A bundle has all points of its curves, with a gap after each, without error bars; pointing at one names its curve.
    """
    if len(traces) <= CURVES:
        return traces, ""
    key, groups = _setting(labels), {}
    for trace, label in zip(traces, labels, strict=True):
        groups.setdefault(_settings(label).get(key), []).append(trace)
    bundles = [_bundle(_words(key, value), group, f"${number}") for number, (value, group) in enumerate(sorted(groups.items(), key=str))]
    by = f", a colour for each {key.replace('_', ' ')}" if key else ""
    return bundles, f" These are {len(traces):,} curves{by}, without error bars; pointing at one says which it is."


def first(runs, labels):
    """(the first curves' runs, their labels, a sentence that names the others): whole curves, so that none is of fewer seeds."""
    widths, chosen, lines, total = {}, set(), 0, 0
    for run, label in zip(runs, labels, strict=True):
        widths.setdefault(label, []).append(run.experiment.dnn.neuron_multiplier)
    for label, own in widths.items():
        lines, total = lines + len(set(own)), total + len(own)
        if chosen and (lines > LINES or total > RUNS):
            break
        chosen.add(label)
    kept = [(run, label) for run, label in zip(runs, labels, strict=True) if label in chosen]
    others = [label for label in widths if label not in chosen]
    sentence = (f" Of {len(widths):,} curves these are the first {len(chosen)}; measured too, and not on this page: {named(others)}."
                if others else "")
    return [run for run, _ in kept], [label for _, label in kept], sentence


def _settings(label):
    return dict(part.split("=", 1) for part in label.split(", ") if "=" in part)


def _setting(labels):
    """The setting with the most values for which there are colours; None where there is none."""
    every = [_settings(label) for label in labels]
    values = {key: len({settings.get(key) for settings in every}) for key in dict.fromkeys(key for settings in every for key in settings)}
    return max((key for key, count in values.items() if 1 < count <= COLOURS), key=values.get, default=None)


def _words(key, value):
    return "all curves" if key is None else f"{key}={value}" if value is not None else f"{key} as usual"


def _bundle(name, traces, colour):
    x, y, text = [], [], []
    for trace in traces:
        x += [*trace["x"], None]
        y += [*trace["y"], None]
        text += [trace["name"]] * len(trace["x"]) + [None]
    return {"type": "scatter", "mode": "lines+markers", "name": f"{name} ({len(traces)})", "x": x, "y": y, "text": text,
            "line": {"color": f"{colour}/40", "width": 1}, "marker": {"color": colour, "size": 4},
            "hovertemplate": f"%{{text}}<br>{traces[0]['hovertemplate']}<extra></extra>"}
