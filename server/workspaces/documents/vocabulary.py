"""Word lists: what questions are made of, and words that mean much the same. Pure data.

`max(STOP_WORDS, …)` picks the language of a question, English where none is better: keep English first.
"""

from __future__ import annotations

__all__ = ["COMMON", "COMPARED", "STOP_WORDS", "SYNONYMS"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS: dict[str, frozenset[str]] = {
    "en": _words(
        """
        a about after again all already also am an and another any anybody anyone anything are aren't as at be because been before being both but by can
        can't cannot could did didn't do does doesn't doing don't done else ever every for from get gets getting give go goes going got
        had has hasn't have having he her here him his how i i'm i've if in instead into is isn't it it's its itself just kind let like
        made make makes many may me mean means might mine more most much must my need needs no nor not now of off often on once one only
        onto or other our out over own per please quite rather really same say says shall she should so some somebody someone something
        sort still such take takes tell than that that's the their them then there these they thing things this those through to too under
        up upon us use used uses using very via want wants was wasn't way ways we were what what's when where whether which while who whom
        whose why will with within without won't would yet you your yours
        """
    ),
    "de": _words(
        """
        aber alle als also am an auch auf aus bei bin bis da das dass dem den denn der des die dies diese dieser dieses doch dort du durch
        ein eine einem einen einer eines er es etwas fur gibt haben hat hier ich ihr ihre im in ins ist ja jede jeder kann kein keine
        konnen man mehr mein meine mich mir mit muss nach nicht noch nur ob oder ohne sein sich sie sind so soll und uns unser unter viel
        viele vom von vor wann warum was welche welchem welchen welcher welches wenn wer werden wie wieviel wir wird wo wurde zu zum zur
        """
    ),
    "fr": _words(
        """
        a ai as au aux avec ce ces cet cette combien comment d dans de des dois doit du elle en est et etre eux faire fait il ils j je l
        la le les leur lui m ma mais me mes moi mon n ne nos notre nous on ou par pas peut peux plus pour pourquoi qu quand que quel
        quelle quelles quels qui quoi s sa sans se ses si son sont sur ta te tes toi ton tu un une vos votre vous y
        """
    ),
    "es": _words(
        """
        a al como con cual cuales cuando cuanta cuantas cuanto cuantos de del donde el ella en es esta estan este esto ha hacer hay la las
        lo los mas me mi mis muy no nos o para pero por porque puede puedo que quien se ser si sin sobre son su sus te tiene tu un una uno
        unos y ya yo
        """
    ),
    "it": _words(
        """
        a al alla anche che chi ci come con cosa cui da dal dalla dei del della delle di dove e ed gli ha ho i il in io la le lo ma mi nel
        nella non o per perche piu posso puo quale quali quando quanta quante quanti quanto se si sono su sul tra tu un una uno
        """
    ),
    "pt": _words(
        """
        a ao aos as com como da das de do dos e ela ele em essa esse esta este eu foi ha isso isto mais mas me meu minha na nao nas no nos
        o onde os ou para pela pelo pode por porque posso quais qual quando quanto quantos que quem se sem ser seu sua tem um uma voce
        """
    ),
}

# Words that a question may hold though the document that answers it does not: they count little when an answer is judged.
COMMON = _words(
    """
    abandon able accompany accomplish accord achieve acquire act actually adapt add adequate admit adopt advance advantage advise affair
    afford afraid afterwards agree aim allow allowed alone already alter alternative although always amaze amount anyhow anywhere apart
    apparent appeal appear apply approach appropriate approximate arise around arrange arrive ask aspect assign assist associate assume
    attach attempt attend attention automatic automatically available avoid aware away awful back bad bare base basic basically basis bear
    beautiful become beforehand begin behave behavior behaviour behind belong below beneath benefit beside best bet better between beyond
    big bit blow boost border bore bother bottom bound brief briefly bring broad bulk burden busy calculate call calm capable capture care
    careful carefully carry case cast catch cause cease central certain challenge chance change characteristic charge cheap check choose
    circumstance claim clarify classic clean clear clever close closely collect combine come comfortable comment common commonly compare
    compete complain complete complex component compose comprise concept concern conclude condition conduct confident confirm conflict
    confuse consequence consider considerable consist constant constantly construct consult consume contain content context continue
    contrary contrast contribute convenient conventional convert convince cope core correct correctly correspond count couple cover
    crucial curious current currently cut daily damage danger dangerous dare day deal decide deep default define definite definitely
    degree deliberate deliver demand demonstrate deny depart depend derive describe desirable desire despite destination detail detect
    determine develop devote die differ difference different differently difficult difficulty direct directly disappear discover discuss
    dislike display distinct distinguish distribute divide dominate double doubt dozen draw dream drive due duplicate duty eager early
    earn ease easily easy edge effect effective efficient effort eight either elaborate elsewhere emerge emphasis employ empty encounter
    encourage end enforce engage enhance enjoy enormous enough ensure enter entire entirely entitle equal equivalent especially essential
    essentially establish estimate evaluate even eventually evidence evident evolve exact exactly examine example exceed except exclude
    execute exhibit exist expand expect experience explain explicit explicitly explore expose express extend extent extra extreme
    extremely face facilitate fact factor fail fair fairly faith fall false familiar far fast favor favour fear feature feed feel few
    figure fill final finally find fine finish firm first firstly fit five fix float focus fold follow force forget form formal formally
    forth fortunately forward foundation four free freely frequent frequently fresh front fulfil full function fundamental furthermore
    gain gather general generally generate gentle genuine glad global goal gone good govern grab grade gradually grand grant grasp
    grateful great grow guarantee guess habit half halfway halt hand handle handy hang happen hard hardly harm hate heavy help hence
    hesitate hidden hide high highly hint hit hold hope hour huge hundred hurry hurt idea ideal identical identify ignore illustrate
    imagine immediate impact implement imply important impose impossible impress improve include incorrect increase indeed indicate
    individual inevitable influence inform information initial initially inside insist inspect inspire instance instant instruct intend
    intent intention interest internal interpret introduce invent investigate invite involve isolate issue item job join judge jump keen
    keep kick kind know knowledge lack lapse large largely last lastly late later latter lay lead lean leap learn least leave left length
    less level lie lift likely likewise line list literally little live locate logical long look lose loss lot loud lower lucky mad main
    maintain maintenance major majority manage manner mark master match material matter maximum meanwhile measure mechanism meet mention
    mere merely method mid mind minimum minor minute miss mistake mix moderate modern modify moment motion mount move movement multiple
    mutual namely narrow native natural naturally nature near nearly neat neatly necessary negative neither never new nice nine nobody
    none nonetheless normal normally note notice number obey object observe obtain obvious obviously occasion occasionally occupy occur
    odd offend offer official ok okay old open opinion opportunity oppose opposite optimal option order ordinary organise organize origin
    original originally otherwise ought outcome outline outside overall overcome owe own pace pack page pair part partial partially
    particular partly pass passage past pattern peculiar people percent perfect perfectly perform period permit persist personal
    personally persuade phase phrase pick piece place plain plan pleasant pleased plenty plus point popular portion pose position positive
    possess possibility possible possibly potential potentially pour powerful practical practice precise precisely prefer prepare presence
    present presumably pretend pretty prevent previous primarily primary prime principal principle prior priority probable probably
    problem proceed produce progress project promise prompt proof proper properly property proportion propose prove provide pull pure
    purpose pursue push put quality quantity quarter question quick quickly quiet quit raise range rapid rapidly rare rarely rate rather
    raw reach react readily ready real realise realize reappear reason recall receive recent recently reckon recognise recognize recommend
    reduce refer reflect regard regardless regular regularly relate relation relative relatively relevant reliable rely remain remark
    remarkable remind repeatedly represent require reserve reside resist resolve resort respect respectively respond response responsible
    rest result resume retain reveal reverse rid right rise risk roll rough roughly round rule run rush safe safely sake satisfy scale
    scatter scenario scope second section see seek seem segment seldom select send sense sensible separate separately serious seriously
    serve set settle seven several severe shape sharp shift short shortly show shut sight significant silent similar similarly simple
    simplify simply simultaneously single situation six size skip slight slightly slip slow slowly small smart smooth smoothly software
    solely solid solution solve someday somehow sometime sometimes somewhat somewhere soon sort source space spare speak special specially
    specific specify spend spirit spot spread stable stage stand standard stare start state statement stay steady step stick straight
    straightforward strange strategy strength stress stretch strict strictly strike strong strongly structure struggle stuck stuff style
    subject subsequent succeed success successful successfully sudden suddenly sufficient suggest suit suitable sum supply support suppose
    sure surely surface surprise surround survey suspect sweep system tackle talk task ten tend term test thanks thick thin thing think
    third thorough thoroughly thought thousand threat three thrive throughout throw thus tie tight time tiny title today together tool top
    total touch toward towards transform treat tremendous trend trick trip trouble true truly trust truth try turn type typical ultimate
    ultimately unable unclear undergo underlying understand undertake unexpected unexpectedly unfortunately unique unit unknown unless
    unlike unlikely unnecessary until unusual upper urge usage useful useless usual usually utmost vague value vanish various vary vast
    verify version versus view virtual virtually visible visit vital wait wake walk warn waste watch weak wear weigh well wherever
    whichever whoever whole wide widely wild willing win wise wish withdraw witness wonder wonderful word work world worry worse worst
    worth worthwhile worthy wrap wrong yes zero
    """
)

# The forms of comparison that people use of settings and sizes, to the plain word.
COMPARED: dict[str, str] = {
    form: line.split()[0]
    for line in """
big bigger biggest
early earlier earliest
fast faster fastest
few fewer fewest
great greater greatest
high higher highest
large larger largest
late later latest
long longer longest
low lower lowest
new newer newest
old older oldest
safe safer safest
short shorter shortest
slow slower slowest
small smaller smallest
strong stronger strongest
weak weaker weakest
""".strip().splitlines()
    for form in line.split()[1:]
}

# Each line is one meaning. A word may stand in several. `a: b c` is for what is asked as `a` and may be written as `b`, not the other way.
SYNONYMS: tuple[str, ...] = tuple(
    line
    for line in """
add create make new insert
answer reply respond response
ask question query request
authenticate authentication login signin sign log
login signin logon
logout signout
sign register signup
register registration account enroll signup
user person people account member human someone
administrator admin root
begin start launch boot run startup
run execute launch start carry
end finish complete stop terminate done
stop cancel abort halt interrupt quit kill
kill crash die death dead
crash fail failure die break error
error failure problem fault exception wrong
bug defect fault problem
change modify edit alter update adjust set switch
rename name
update upgrade refresh newer
delete remove erase drop discard purge clear wipe
destroy delete
keep store save retain persist remember hold
memory ram
recall remember memory
storage store save keep database disk
database postgres postgresql sql
folder directory path dir
file document upload
copy backup clone duplicate
backup restore copy snapshot
restore recover backup
recover recovery restore resume survive repair
resume continue reconnect
ship bundle include provide come
empty clear wipe erase flush
lapse expire
arrive receive reach come
enforce check verify keep
framework library stack
deliver send arrive
retry attempt again try repeat
repeat again twice duplicate
twice double again repeated
choose select pick decide
configure configuration config setting setup option preference
setting option parameter environment variable config
install installation setup
default standard initial
connect connection socket link attach
disconnect disconnection close drop lost
reconnect reconnection resume
lose lost missing gone
send transmit deliver post emit push
receive get obtain accept
read view see look fetch
write record
fetch get retrieve download
show display print present list
list enumerate overview
find search locate lookup discover
limit maximum max bound cap most restrict largest
maximum largest biggest highest longest most
minimum least smallest shortest lowest
big large size huge
size length bytes long
length long characters chars
duration time long life lifetime seconds
expire expiry expiration timeout valid lifetime validity
timeout deadline expire limit
wait delay pause block
delay latency wait slow
fast quick speed performance rapid
slow latency
speed throughput rate performance fast
measure benchmark figure number
allow permit accept let permission
forbid refuse deny reject prohibit disallow
refuse reject deny decline
permission right role access allow
role permission
access permission reach
owner own belong
share member invite invitation colleague
invite member add share
protect secure security safe guard
secret password key credential token
credential password key token secret
password passphrase
token string ticket
key apikey credential
hide conceal private
encrypt encryption cipher tls https
allowed accepted permitted
need require requirement necessary must prerequisite
requirement prerequisite need
check verify validate test confirm
approve approval confirm consent permission
approval confirmation consent human
message text chat
chat conversation talk dialogue
talk chat speak converse
agent bot assistant
model llm
llm model language
queue line waiting pending
job task run work
task job run
worker background
schedule cron periodic recurring timer
periodic regular interval every
process program
machine computer host server
server host backend
listen bind serve
port address
address url host ip
url address link
browser page web frontend ui
page website ui frontend interface
interface ui api
endpoint route url path
reload refresh
log record journal trace
monitor watch observe metric
metric measure monitor statistics
notify tell inform alert
event notification
stream live realtime
live realtime immediately
immediately instantly instant once directly
order sequence sequential
sequence order number
number count amount how
several multiple many more
together simultaneously concurrent parallel once
concurrent parallel simultaneous
simultaneously concurrently parallel
scale more larger grow
replace substitute
different another other
outside external
inside internal within
test testing suite check
build compile generate make
deploy deployment production install
production deployment
command cli terminal shell
type enter write
language python
library package dependency
package bundle archive
plugin extension package
version release
source origin citation cite
cite citation source quote reference
reason why because
explain describe
example sample
empty blank nothing none
unknown missing absent
wrong invalid incorrect bad
valid correct
same identical equal
identical same
unique distinct
temporary ephemeral
permanent forever
private own
public open
old former previous earlier
history past previous
past earlier history
latest newest current recent
money price pay fee bill
cost: price fee pay
picture image photo
mail email
phone mobile
company organisation organization firm
team group organisation
turn switch
disable off deactivate
enable on activate
format syntax shape
header headers
body payload content
guarantee promise ensure
promise guarantee
load traffic
overload flood
flood spam many
throttle limit ratelimit
platform os system
old oldest earliest minimum lowest
new newest latest
sort order alphabetical arrange
newline line break
pool reuse share
batch bulk several group together pipeline
channel pubsub subscribe listen topic
subscribe listen follow watch
licence license
maintainer author written
report issue bug
dependency requirement need package
pretty indent format readable
timezone offset utc
shell terminal console prompt
cancel undo revert
rollback revert undo
proxy balancer nginx
balancer balance distribute spread
certificate tls https ssl
port listen
loopback localhost local
local localhost own
remote outside external internet
internet network online
offline internet network
cpu core processor
core cpu
thread parallel
disk space storage
full capacity space
health alive ready status
status state
ready finished available
counter count number metric
trace debug log
debug inspect diagnose troubleshoot doctor
diagnose doctor check troubleshoot
troubleshoot problem diagnose
revoke end invalidate cancel
invalidate revoke expire
logout revoke end leave
leave quit exit logout
kick remove expel
signature sign verify
sign signature signed
nonce once single
replay repeat twice again
hash digest argon
reset change forget
forgot forgotten lose lost reset
rate limit throttle frequency
quota limit
restart reboot start again
shutdown stop drain end
drain shutdown stop finish
upgrade migrate update version
migration migrate upgrade schema
downgrade rollback older
table column row
transaction commit
approve allow confirm yes
deny reject refuse no
dangerous risky unsafe harmful
unsafe insecure dangerous weak
sandbox isolate
isolate separate
plugin tool
tool function
prompt instruction
provider vendor openai anthropic
streaming stream token live
typing type
attachment file upload document
upload add attach import
import upload add load
export download dump
download fetch install
word term
paragraph passage section
passage paragraph section chunk piece
index search
scan ocr picture
page website
reload refresh
button click press
click press
press key
ctrl control
colour color theme
menu list
default preset
placeholder template example
tutorial example guide introduction
introduction overview start
beginner start first
variable setting environment
env environment variable
override replace
flag option switch
argument parameter
field attribute property
id identifier
uuid id identifier
json body
websocket socket connection
socket connection
poll polling
longpolling polling
callback webhook
webhook callback notify
retry retries attempt
idempotent twice repeated
idempotency twice repeat
concurrency parallel simultaneous
race simultaneous concurrent
lock exclusive
deadlock block stuck
stuck hang block freeze
hang freeze stuck block
frozen stuck hang block
leak grow
bottleneck slow
latency millisecond delay
footprint memory
reply answer respond
mention name
format kind type sort
twice second again
split cut divide break
piece passage part chunk
restart replace reboot
drop lose refuse lost
lose drop gone
idle rest nothing
shut stop end close
builtin shipped bundled included
support take work accept know
scanned scan ocr
unreachable away down unavailable
outage away down failure
down away dead unavailable
away unreachable down unavailable
broken damaged defect corrupt
corrupt damaged broken
invalid wrong bad malformed
malformed invalid wrong
throttled limited limit
kicked removed closed
undo withdraw cancel
withdraw undo revoke cancel
cluster machine several
scale machine several process
monitoring metric health
healthcheck health
alive health
container docker
uninstall remove
concurrently once parallel together
simultaneously once parallel together
colleague member user share
stranger anybody outsider
outsider stranger
tab page browser
weigh size byte
heavy large
slow long
quick fast short
early first before
late last after
duplicate same twice
same identical again
identical same
unlimited limit bound
endless loop forever
crash die kill
die crash kill end
survive keep resume
persist keep store survive
disappear gone lost delete
vanish gone lost
visible see shown
hidden secret
readable text
language translate
unreadable broken damaged
owner belong whose
whose belong owner
inspect look show read
browse look read list
tell say inform
say tell
happen become
permit may allow
forbid may not refuse
mandatory need required must
optional may need
prevent refuse stop avoid
avoid prevent
wait hold
hang wait block stuck
reachable address listen answer
tune setting change
customise change setting own
customize change setting own
adapt change
extend add
build write make
develop write build
program write code
write make build create
code file python
script file program
debug log error
trace log
incident error log
credential key password token
sign login
login sign
impersonate pretend as
colour color
picture image
""".strip().splitlines()
)
