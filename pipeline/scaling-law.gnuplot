# Loss over the size of the input vocabulary: training loss to the left, held-out loss to the right.
# Small points are runs, large ones means over seeds; the line is the fit with its 95 % band. Dashed:
# Kneser-Ney models of 2-grams and more, counted on the same text.
# Called with the variables csv (input) and svg (output). Fit and means lie beside the CSV, made by
# Sources/Reporting/PictureData.swift.

set terminal svg size 1080,460 font "Helvetica,14" background "#ffffff"
set output svg
set datafile separator comma

stem = csv[1:strlen(csv) - 4]
fit = stem."-fit.csv"      # 1 measure, 2 input vocabulary, 3 fit, 4 low, 5 high
means = stem."-means.csv"  # 1 measure, 2 input vocabulary, 3 mean
counts = stem."-counts.csv" # 1 measure, 2 order, 3 mean
measures = "train_loss eval_loss"
titles = "'training loss, last stretch of the pass' 'held-out loss'"
x(measure) = strcol(1) eq measure ? column(2) : NaN
stats means skip 1 using 2 name "SIZES" nooutput

set multiplot layout 1,2 margins 0.075,0.985,0.16,0.9 spacing 0.09,0.1
set logscale x
set xrange [SIZES_min / 1.3:SIZES_max * 1.3]
set format x "10^{%L}"
set mxtics 10
set grid ytics xtics linecolor "#e4e4e4" linetype 1 linewidth 1
set border 3 linecolor "#808080"
set tics nomirror textcolor "#404040"
set xlabel "input vocabulary, V + m" textcolor "#404040" offset 0,0.2
set style fill solid noborder
set key top right opaque textcolor "#202020" font ",12" samplen 2

do for [i = 1:2] {
  measure = word(measures, i)
  set title word(titles, i) font ",15" offset 0,-0.4
  if (i == 1) { set ylabel "nats a token" textcolor "#404040" offset 1,0 } else { unset ylabel }
  plot \
    fit skip 1 using (x(measure)):4:5 with filledcurves fillcolor rgb "#0072b2" fillstyle transparent solid 0.15 title "95 % band", \
    fit skip 1 using (x(measure)):3 with lines linecolor rgb "#0072b2" linewidth 2 title "a − b log_{10}(V + m)", \
    csv using "input_vocabulary":measure with points pointtype 7 pointsize 0.3 linecolor rgb "#909090" title "runs", \
    means skip 1 using (x(measure)):3 with points pointtype 7 pointsize 0.7 linecolor rgb "#d55e00" title "means over seeds", \
    counts skip 1 using (strcol(1) eq measure ? SIZES_min / 1.3 : NaN):3:(SIZES_max / SIZES_min * 1.69 * SIZES_min):(0) with vectors nohead dashtype 2 linecolor rgb "#009e73" title (i == 2 ? "Kneser-Ney 2-gram and more" : ""), \
    counts skip 1 using (strcol(1) eq measure ? SIZES_min * 1.6 ** (column(2) - 1) : NaN):3:(sprintf("%d", column(2))) with labels offset 0,0.5 font ",10" textcolor rgb "#009e73" notitle
}
unset multiplot
