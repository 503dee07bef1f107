"""Container images of the platform, built with buildah and no daemon.

`python -m hack.images --help` lists the commands. Every layer is keyed by what it is made from, so an unchanged layer is
never built again and a change of code rebuilds only the thin layer on top. Everything lies under
`${LORE_CACHE:-~/.cache/lore-platform}/images`.
"""
