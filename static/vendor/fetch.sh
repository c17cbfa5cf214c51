#!/usr/bin/env bash
# Fetches the vendored front-end files at the versions below and rewrites VERSIONS.
# Run by `make vendor`; the results are committed, so nobody needs npm to run the board.
set -euo pipefail
cd "$(dirname "$0")"

PLOTLY=4.1.1
HTMX=4.0.1
INTER=5.3.0
CYTOSCAPE=3.34.4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

unpack() { # unpack <npm package> <version> <folder>: the package's files in $work/<folder>
  local tarball
  tarball=$(cd "$work" && npm pack --silent "$1@$2")
  mkdir -p "$work/$3"
  tar -xzf "$work/$tarball" -C "$work/$3" --strip-components=1
}

take() { # take <folder> <file in package> <file here>
  mkdir -p "$(dirname "$3")"
  cp "$work/$1/$2" "$3"
}

unpack plotly.js-cartesian-dist-min "$PLOTLY" plotly
take plotly plotly-cartesian.min.js plotly/plotly-cartesian.min.js
take plotly LICENSE plotly/LICENSE
node plotly/css.mjs plotly/plotly-cartesian.min.js > plotly/plotly.css

unpack htmx.org "$HTMX" htmx
take htmx dist/htmx.min.js htmx/htmx.min.js
take htmx LICENSE htmx/LICENSE

unpack @fontsource-variable/inter "$INTER" inter
take inter files/inter-latin-wght-normal.woff2 inter/inter-latin.woff2
take inter files/inter-latin-ext-wght-normal.woff2 inter/inter-latin-ext.woff2
take inter LICENSE inter/LICENSE

unpack cytoscape "$CYTOSCAPE" cytoscape
take cytoscape dist/cytoscape.esm.min.mjs cytoscape/cytoscape.esm.min.mjs
take cytoscape LICENSE cytoscape/LICENSE

# packed beside the large ones, for the browsers that take it: WhiteNoise finds them there
for one in plotly/plotly-cartesian.min.js cytoscape/cytoscape.esm.min.mjs htmx/htmx.min.js; do
  gzip -9 --no-name --keep --force "$one"
done

cat > VERSIONS <<END
plotly.js-cartesian-dist-min $PLOTLY  MIT      charts (cartesian traces only)
htmx.org                     $HTMX  0BSD     partial page updates
@fontsource-variable/inter   $INTER  OFL-1.1  the typeface
cytoscape                    $CYTOSCAPE  MIT  the map of nodes and links
END
