"""The whole path on a real cluster: data in, trained, judged, served, asked. `python -m hack.demo [--keep]`."""
