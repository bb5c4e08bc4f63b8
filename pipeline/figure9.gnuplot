# Training loss of over-encoded models minus the baseline's, over the tokens seen: a curve per size of
# the input vocabulary. Lines are means over seeds, bands reach from the smallest to the largest seed.
# Called with the variables csv (input) and svg (output).

set terminal svg size 820,520 font "Helvetica,14" background "#ffffff"
set output svg
set datafile separator comma

# Columns of the CSV: 1 m, 2 input vocabulary, 4 step, 5 tokens, 8 difference.
sizes = system(sprintf("awk -F, 'NR > 1 && !seen[$1]++ { print $1 }' '%s' | sort -g", csv))
# Lines of "tokens,mean,smallest,largest" of one curve.
curve(m) = sprintf("< awk -F, 'NR > 1 && $1 == \"%s\" { n[$4]++; t[$4] += $5; s[$4] += $8; if (!($4 in a) || $8 < a[$4]) a[$4] = $8; if (!($4 in b) || $8 > b[$4]) b[$4] = $8 } END { for (x in n) print t[x] / n[x] \",\" s[x] / n[x] \",\" a[x] \",\" b[x] }' '%s' | sort -g", m, csv)
colours = "#c6dbef #9ecae1 #6baed6 #4292c6 #2171b5 #08519c #08306b"
colour(i) = word(colours, 1 + int((i - 1.0) / (words(sizes) > 1 ? words(sizes) - 1 : 1) * 6))

set format x "%.1s %c"
set grid ytics xtics linecolor "#e4e4e4" linetype 1 linewidth 1
set border 3 linecolor "#808080"
set tics nomirror textcolor "#404040"
set xlabel "tokens seen" textcolor "#404040"
set ylabel "loss minus baseline's, nats a token" textcolor "#404040" offset 1,0
set style fill solid noborder
set key outside right center Left reverse textcolor "#202020" title "m" samplen 2
set xzeroaxis linecolor "#808080"

plot \
  for [i = 1:words(sizes)] curve(word(sizes, i)) using 1:3:4 \
    with filledcurves fillcolor rgb colour(i) fillstyle transparent solid 0.25 notitle, \
  for [i = 1:words(sizes)] curve(word(sizes, i)) using 1:2 \
    with lines linecolor rgb colour(i) linewidth 2 title word(sizes, i)
