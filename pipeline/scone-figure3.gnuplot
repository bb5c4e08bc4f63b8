# Frequent n-grams over tokens of text, a curve for every length.
# Called with the variables csv (input) and svg (output). The curves lie beside the CSV, made by
# Sources/Reporting/PictureData.swift.

set terminal svg size 720,460 font "Helvetica,14" background "#ffffff"
set output svg
set datafile separator comma

curves = csv[1:strlen(csv) - 4]."-curves.csv"
stats curves using 1:2 nooutput
colours = "#0072b2 #d55e00 #009e73 #cc79a7 #56b4e9 #e69f00"

set grid ytics xtics linecolor "#e4e4e4" linetype 1 linewidth 1
set border 3 linecolor "#808080"
set tics nomirror textcolor "#404040"
set logscale xy
set format x "10^{%L}"
set format y "10^{%L}"
set mxtics 10
set xlabel "tokens of text" textcolor "#404040"
set ylabel "f-grams" textcolor "#404040"
set key bottom right opaque textcolor "#202020" font ",12" samplen 2

plot for [i = 0:STATS_blocks - 1] curves index i using 1:2 with linespoints pointtype 7 pointsize 0.6 \
  linewidth 2 linecolor rgb word(colours, i + 1) title columnheader(2)
