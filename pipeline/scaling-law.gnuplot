# Loss over the size of the input vocabulary: training loss to the left, held-out loss to the right.
# Small points are runs, large ones means over seeds; the line is the fit with its 95 % band.
# Called with the variables csv (input) and svg (output); the fit lies beside the CSV.

set terminal svg size 1080,460 font "Helvetica,14" background "#ffffff"
set output svg
set datafile separator comma

fit = csv[1:strlen(csv) - 4]."-fit.csv"
# Columns of the CSV: 3 input vocabulary, 6 training loss, 7 held-out loss. Of the fit: 1 measure,
# 2 input vocabulary, 3 fit, 4 low, 5 high.
band(measure) = sprintf("< grep '^%s,' '%s'", measure, fit)
means(column) = sprintf("< awk -F, 'NR > 1 { n[$3]++; s[$3] += $%d } END { for (x in n) print x \",\" s[x] / n[x] }' '%s' | sort -g", column, csv)
measures = "train_loss eval_loss"
columns = "6 7"
titles = "'training loss, last stretch of the pass' 'held-out loss'"
smallest = system(sprintf("awk -F, 'NR > 1 { print $3 }' '%s' | sort -g | head -n 1", csv)) + 0
largest = system(sprintf("awk -F, 'NR > 1 { print $3 }' '%s' | sort -g | tail -n 1", csv)) + 0

set multiplot layout 1,2 margins 0.075,0.985,0.16,0.9 spacing 0.09,0.1
set logscale x
set xrange [smallest / 1.3:largest * 1.3]
set format x "10^{%L}"
set mxtics 10
set grid ytics xtics linecolor "#e4e4e4" linetype 1 linewidth 1
set border 3 linecolor "#808080"
set tics nomirror textcolor "#404040"
set xlabel "input vocabulary, V + m" textcolor "#404040" offset 0,0.2
set style fill solid noborder
set key top right textcolor "#202020" font ",12" samplen 2

do for [i = 1:2] {
  measure = word(measures, i)
  column = word(columns, i) + 0
  set title word(titles, i) font ",15" offset 0,-0.4
  if (i == 1) { set ylabel "nats a token" textcolor "#404040" offset 1,0 } else { unset ylabel }
  plot \
    band(measure) using 2:4:5 with filledcurves fillcolor rgb "#0072b2" fillstyle transparent solid 0.15 title "95 % band", \
    band(measure) using 2:3 with lines linecolor rgb "#0072b2" linewidth 2 title "a − b log_{10}(V + m)", \
    csv skip 1 using 3:column with points pointtype 7 pointsize 0.3 linecolor rgb "#909090" title "runs", \
    means(column) using 1:2 with points pointtype 7 pointsize 0.7 linecolor rgb "#d55e00" title "means over seeds"
}
unset multiplot
