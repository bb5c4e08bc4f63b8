# Generation accuracy over sentences seen: one panel per panel of the CSV; colours are models, solid and
# dashed lines are sizes. Lines are means over seeds, bands reach from the smallest to the largest seed.
# Called with the variables csv (input) and svg (output); see Sources/Reporting/Drawing.swift. What it
# draws lies beside the CSV, made by Sources/Reporting/PictureData.swift.

set terminal svg size 1080,520 font "Helvetica,14" background "#ffffff" dashlength 0.6
set output svg
set datafile separator comma

curves = csv[1:strlen(csv) - 4]."-curves.csv"
# Columns: 1 panel, 2 model, 3 size, 4 sentences, 5 mean, 6 low, 7 high.

# Lists of names, each quoted, in the order of the file.
panels = ""; models = ""; sizes = ""; shown = ""
quoted(name) = "'".name."'"
with(list, name) = strstrt(list, quoted(name)) ? list : list." ".quoted(name)
pair(panel, model) = panel."|".model
stats curves skip 1 using (panels = with(panels, strcol(1)), models = with(models, strcol(2)), \
  sizes = with(sizes, strcol(3)), shown = with(shown, pair(strcol(1), strcol(2))), 0) nooutput
stats curves skip 1 using 4 name "SENTENCES" nooutput

isShown(panel, model) = strstrt(shown, quoted(pair(panel, model))) > 0
where(panel, model, size) = strcol(1) eq panel && strcol(2) eq model && strcol(3) eq size
x(panel, model, size) = where(panel, model, size) ? column(4) : NaN

colours = "#4d4d4d #0072b2 #009e73 #d55e00 #cc79a7 #e69f00"
position(list, name) = sum [i = 1:words(list)] (word(list, i) eq name ? i : 0)
colour(model) = word(colours, 1 + (position(models, model) - 1) % words(colours))
dash(size) = position(sizes, size)  # the first size is drawn solid
width(size) = dash(size) == 1 ? 2.4 : 1.8
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
set xrange [SENTENCES_min:SENTENCES_max]

do for [p = 1:words(panels)] {
  panel = word(panels, p)
  mine = ""
  do for [m in models] { if (isShown(panel, m)) { mine = mine." ".quoted(m) } }
  set title title(panel) font ",15" offset 0,-0.4
  if (p == 1) { set ylabel "generation accuracy" textcolor "#404040" offset 1,0 } else { unset ylabel }
  # A column of models and one of sizes below the axes: nothing hides a curve, and names have room.
  set key at graph 0.5, graph -0.18 center top vertical maxrows words(mine) Left reverse samplen 2 \
    spacing 1.1 font ",12" textcolor "#202020"
  plot \
    for [s in sizes] for [m in mine] curves skip 1 using (x(panel, m, s)):6:7 \
      with filledcurves fillcolor rgb colour(m) fillstyle transparent solid 0.15 notitle, \
    for [s in sizes] for [m in mine] curves skip 1 using (x(panel, m, s)):5 \
      with linespoints linecolor rgb colour(m) linewidth width(s) dashtype dash(s) \
      pointtype (dash(s) == 1 ? 7 : 6) pointsize 0.45 notitle, \
    for [m in mine] NaN with lines linecolor rgb colour(m) linewidth 2.4 title m, \
    for [s in sizes] NaN with linespoints linecolor rgb "#202020" linewidth width(s) dashtype dash(s) \
      pointtype (dash(s) == 1 ? 7 : 6) pointsize 0.45 title s
}
unset multiplot
