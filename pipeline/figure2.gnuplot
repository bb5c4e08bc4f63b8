# Generation accuracy over sentences seen: one panel per panel of the CSV, a curve per variant and
# size. Lines are means over seeds, bands reach from the smallest to the largest seed.
# Called with the variables csv (input) and svg (output); see Sources/Reporting/Drawing.swift.

set terminal svg size 1080,520 font "Helvetica,14" background "#ffffff" dashlength 0.6
set output svg
set datafile separator whitespace

# Words of a list cannot hold spaces: names carry underscores until they are shown.
# Columns of the CSV: 1 panel, 2 model, 3 size, 10 accuracy, 13 sentences.
distinct(column, where) = system(sprintf("awk -F, 'NR > 1 && %s && !seen[$%d]++ { gsub(/ /, \"_\", $%d); print $%d }' '%s'", where, column, column, column, csv))
within(panel) = sprintf("$1 == \"%s\"", panel)
shown(name) = system(sprintf("echo '%s' | tr _ ' '", name))
# Lines of "sentences mean smallest largest" of one curve.
curve(panel, model, size) = sprintf("< awk -F, 'NR > 1 && $1 == \"%s\" && $2 == \"%s\" && $3 == \"%s\" { n[$13]++; s[$13] += $10; if (!($13 in a) || $10 < a[$13]) a[$13] = $10; if (!($13 in b) || $10 > b[$13]) b[$13] = $10 } END { for (x in n) print x, s[x] / n[x], a[x], b[x] }' '%s' | sort -g", panel, shown(model), size, csv)

panels = distinct(1, "1")
models = distinct(2, "1")
sizes = distinct(3, "1")
colours = "#4d4d4d #0072b2 #009e73 #d55e00 #cc79a7 #e69f00"
position(list, name) = sum [i = 1:words(list)] (word(list, i) eq name ? i : 0)
dash(size) = position(sizes, size)  # the first size is drawn solid
colour(model) = word(colours, 1 + (position(models, model) - 1) % words(colours))

title(panel) = panel eq "left" ? "Tokenizer" : panel eq "right" ? "Input and output vocabulary" : panel

set multiplot layout 1,words(panels) margins 0.075,0.985,0.25,0.93 spacing 0.06,0.1
set logscale x
set format x "10^{%L}"
set mxtics 10
set yrange [0:1]
set ytics 0.2
set grid ytics mytics xtics linecolor "#e4e4e4" linetype 1 linewidth 1
set border 3 linecolor "#808080"
set tics nomirror textcolor "#404040"
set xlabel "sentences seen" textcolor "#404040" offset 0,0.3
set style fill solid noborder
# A column per variant, a row per size, below the axes: nothing hides a curve.
set key bmargin center Left reverse vertical maxrows words(sizes) samplen 2 spacing 1.1 width -8 font ",12" textcolor "#202020"
set autoscale x noextend

do for [p = 1:words(panels)] {
  panel = word(panels, p)
  mine = distinct(2, within(panel))
  set title title(panel) font ",15" offset 0,-0.4
  if (p == 1) { set ylabel "generation accuracy" textcolor "#404040" offset 1,0 } else { unset ylabel }
  plot \
    for [s in sizes] for [m in mine] curve(panel, m, s) using 1:3:4 \
      with filledcurves fillcolor rgb colour(m) fillstyle transparent solid 0.15 notitle, \
    for [m in mine] for [s in sizes] curve(panel, m, s) using 1:2 \
      with linespoints linecolor rgb colour(m) linewidth (s eq word(sizes, 1) ? 2.4 : 1.8) \
      dashtype dash(s) pointtype (s eq word(sizes, 1) ? 7 : 6) pointsize 0.45 \
      title shown(m)." · ".s
}
unset multiplot
