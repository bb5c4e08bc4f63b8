# Training loss of over-encoded models minus the baseline's, over the tokens seen: a curve per size of
# the input vocabulary. Lines are means over seeds, bands reach from the smallest to the largest seed.
# Called with the variables csv (input) and svg (output). What it draws lies beside the CSV, made by
# Sources/Reporting/PictureData.swift.

set terminal svg size 860,520 font "Helvetica,14" background "#ffffff"
set output svg
set datafile separator comma

curves = csv[1:strlen(csv) - 4]."-curves.csv"
# Columns: 1 model, 2 tokens, 3 mean, 4 low, 5 high. A curve per model, in the order of the file. Names
# are quoted in the list.
sizes = ""
quoted(name) = "'".name."'"
with(list, name) = strstrt(list, quoted(name)) ? list : list." ".quoted(name)
stats curves skip 1 using (sizes = with(sizes, strcol(1)), 0) nooutput
x(m) = strcol(1) eq m ? column(2) : NaN

colours = "#9ecae1 #6baed6 #4292c6 #2171b5 #08519c #08306b"
colour(i) = word(colours, words(sizes) > 1 ? 1 + int((i - 1.0) / (words(sizes) - 1) * 5) : 4)

stats curves skip 1 using 2 name "TOKENS" nooutput
set xrange [0:TOKENS_max]
set format x "%.1s %c"
set grid ytics xtics linecolor "#e4e4e4" linetype 1 linewidth 1
set border 3 linecolor "#808080"
set tics nomirror textcolor "#404040"
set xlabel "tokens seen" textcolor "#404040"
set ylabel "loss minus baseline's, nats a token" textcolor "#404040" offset 1,0
set style fill solid noborder
set key outside right center Left reverse textcolor "#202020" samplen 2
set xzeroaxis linecolor "#808080"

plot \
  for [i = 1:words(sizes)] curves skip 1 using (x(word(sizes, i))):4:5 \
    with filledcurves fillcolor rgb colour(i) fillstyle transparent solid 0.25 notitle, \
  for [i = 1:words(sizes)] curves skip 1 using (x(word(sizes, i))):3 \
    with lines linecolor rgb colour(i) linewidth 2 title word(sizes, i)
