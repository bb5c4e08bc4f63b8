# Every metric during training: a small panel per measure and set of text or questions, a curve per model.
# Lines are means over seeds, bands reach from the smallest to the largest seed. Called with the variables csv
# (input) and svg (output). What it draws lies beside the CSV, made by Sources/Reporting/PictureData.swift.

curves = csv[1:strlen(csv) - 4]."-curves.csv"
# Columns: 1 measure, 2 set, 3 model, 4 tokens, 5 mean, 6 low, 7 high. Panels and models in the order of the
# file. Names are quoted in the lists.
set datafile separator comma
panels = ""
models = ""
quoted(name) = "'".name."'"
with(list, name) = strstrt(list, quoted(name)) ? list : list." ".quoted(name)
panel(m, s) = m eq "loss" ? s.", loss" : m eq "accuracy" ? s.", accuracy" : s.", bits per byte"
stats curves skip 1 using (panels = with(panels, panel(strcol(1), strcol(2))), 0) nooutput
stats curves skip 1 using (models = with(models, strcol(3)), 0) nooutput
stats curves skip 1 using 4 name "TOKENS" nooutput

columns = 5
lines = int(ceil(words(panels) / (1.0 * columns)))
set terminal svg noenhanced size 1100,50 + 165 * lines font "Helvetica,11" background "#ffffff"
set output svg
colours = "#808080 #2171b5 #d94801 #238b45 #6a51a3"
colour(i) = word(colours, 1 + (i - 1) % 5)
here(p, m) = panel(strcol(1), strcol(2)) eq p && strcol(3) eq m

set xrange [0:TOKENS_max]
set format x "%.1s%c"
set xtics TOKENS_max / 2
set grid ytics xtics linecolor "#e4e4e4" linetype 1 linewidth 1
set border 3 linecolor "#808080"
set tics nomirror textcolor "#404040"
set style fill solid noborder
unset key

do for [i = 1:words(models)] {
  set label i word(models, i) at screen 0.045 + 0.14 * (i - 1), screen 1 - 14.0 / (50 + 165 * lines) \
    left textcolor rgb colour(i) font "Helvetica Bold,13"
}
set multiplot layout lines, columns margins 0.045, 0.99, 0.05, 1 - 56.0 / (50 + 165 * lines) \
  spacing 0.045, 46.0 / (50 + 165 * lines)
do for [k = 1:words(panels)] {
  set title word(panels, k) textcolor "#202020" offset 0,-0.6
  # What never changes is drawn within an axis that says where; `stats` leaves out what is outside of a range.
  set yrange [*:*]
  stats curves skip 1 using (panel(strcol(1), strcol(2)) eq word(panels, k) ? $6 : NaN) name "LOW" nooutput
  stats curves skip 1 using (panel(strcol(1), strcol(2)) eq word(panels, k) ? $7 : NaN) name "HIGH" nooutput
  if (LOW_min == HIGH_max) { set yrange [LOW_min - 0.1:HIGH_max + 0.1] }
  plot \
    for [i = 1:words(models)] curves skip 1 \
      using (here(word(panels, k), word(models, i)) ? $4 : NaN):6:7 \
      with filledcurves fillcolor rgb colour(i) fillstyle transparent solid 0.25, \
    for [i = 1:words(models)] curves skip 1 \
      using (here(word(panels, k), word(models, i)) ? $4 : NaN):5 \
      with lines linecolor rgb colour(i) linewidth 2
  if (k == 1) { unset label }
}
unset multiplot
