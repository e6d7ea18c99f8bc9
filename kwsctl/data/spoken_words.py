"""Everyday words that synthetic voices say as "other words", and that near words are chosen from."""

from __future__ import annotations

_TEXT = """
able about above accept account across action actor add address advice after again against age agree
air airport alarm album alive alone already also always amazing among anchor angle animal animate answer
apple april arm around arrive arrow art article artist ask asleep august autumn avenue awake away axis

baby back backpack bag bagel baker balance ball balloon banana band bank barbecue barn basket bath battery
beach bean bear beautiful because bed bedroom before begin behind believe bell below bench berry beside
better between bicycle big bird birthday biscuit black blanket blue board boat body bone book boot border
boring borrow bottle bottom bowl box bracket branch brave bread breakfast breath brick bridge bright bring
broken brother brown brush bucket build bus business busy butter button buy

cabin cabinet cable cactus cake calendar call camel camera camp can candle captain car carbon card career
careful cargo carpet carrot carry castle cat catch ceiling cellar center central cereal certain chain chair
chance change channel chapter charge chat cheap check cheese cherry chess chicken chief child chimney
chocolate choose church cinema circle circus citizen city clap class clean clear clever climate clock close
cloud coach coast coat coffee coin cold collar collect college color comb combine come comedy comfort
commuter company compass compete complete compose compute concert connect contact control cook cookie cool
copper copy corner corridor cost cotton couch count country couple courage course cousin cover cow crater
cream create credit creek cricket crop cross crowd crown cup cupboard curtain curve customer cycle

dance danger daughter dawn day deal dear debate decade december decide deck deep deliver demand dentist
depend desert desk dessert detail device diamond diary differ dig dinner direct dirty discover discuss
dish distance doctor dog dollar dolphin donkey door double down dozen dragon dragonfly draw drawer dream dress
drink drive driver drop drum dry duck dust

each eager eagle ear early earn earth east easy eat echo edge editor effect effort egg eight either elbow
elect electric elephant elevator eleven else email empty end enemy energy engine enjoy enough enter entry
equal error escape even evening event ever every exact exam example excellent except excuse exercise exit
expect expensive explain explore express extra eye

fabric face fact factory fade fair fall family famous fan far farm farmer fashion fast father favorite
feather february feed feel fence ferry festival fever few field fifteen fifty fight figure fill film final
find fine finger finish fire first fish five flag flame flash flat flavor flight float floor flour flow
flower fly focus fog fold follow food foot football forest forever forget fork form forty forward found
four fourteen fox fragment frame free freeze fresh friday friend frog front frozen fruit full funny
furniture future

gallery game garage garden garlic gas gate gather general gentle ghost giant gift ginger giraffe girl give
glad glass glide globe glove glue goal goat gold golden good grab grain grammar grand grandfather grandmother
grape grass gravel gray great green grill ground group grow guard guess guest guide guitar

habit hair half hall hammer hand handle happen happy harbor hard harvest hat have hay hazel head headline
heal health hear heart heat heaven heavy heel height helicopter hello helmet help her here hero hidden high
hill history hobby hockey hold holiday hollow home honest honey hook hope horizon horse hospital hotel hour
house however huge human humor hundred hungry hurry

ice idea image imagine impact improve inch indoor inside insect install instead interest internet invite
iron island item ivory jacket jam january jar jaw jazz jealous jelly jersey jewel job jog join joke journal
journey joy judge juice july jump june jungle junior just justice

kangaroo keen keep kettle key keyboard kick kid kilo kind king kingdom kiss kitchen kite kitten knee knife
knock know label ladder lake lamp land lane language laptop large laser last late later laugh laundry lawn
lazy lead leaf league learn leather leave left legend lemon lesson letter level library lift light like
limit line lion list listen little live lizard local lock logic lonely long look loose lose loud love low
lucky lunch lyric

machine magazine magic magnet mail main major make mall manage mango map maple marble march margin mark
market married mask master match math matter maximum maybe meadow meal mean measure meat medal medicine
medium meet melody melon member memory menu message metal meter middle midnight mile milk million mind
minute mirror miss mistake mix mobile model modern moment monday money monkey month moon more morning
mosquito most mother motion motor mountain mouse mouth move movie much mud muffin multiply museum mushroom
music must myself mystery

name napkin narrow nation nature near neck need neighbor neither nephew nerve nest network never new news
next nice night nine nineteen ninety noise noodle noon normal north nose nothing notice november now number
nurse nut

oat obey ocean october offer office often oil okay old olive omelet once one onion only open opera opinion
option orange orchard orchestra order organ other otter outside oven over owl own owner oxygen

pack package page paint pair palace pan pancake panda panel paper parade parent park parrot part partner
party pass past pasta path patient pattern pause pay peace peach peanut pear pencil people pepper perfect
period permit person phone photo piano pick picnic picture piece pigeon pillow pilot pin pine pink pipe
pitch pizza place plain plan plane planet plant plastic plate play please plenty plum pocket poem point
police polite pond pony pool popcorn popular porridge port portrait possible postcard potato powder power
practice predict prefer prepare present press pretty price prince print prize problem produce program
project promise proud public pull pumpkin pupil puppy purple purpose purse push puzzle

quality quarter queen question queue quick quiet quilt quite rabbit race radar radio rain rainbow raise
range rapid rare reach read ready real reason receive recent recipe record red reduce regular relax remain
remember remind remote rent repair repeat reply report rescue rest result return reward rhythm ribbon rice
rich ride right ring rise river road rock rocket roof room root rope rose round route row rubber rug rule
runner

sad saddle safe sail salad salmon salt same sample sand sandwich saturday sauce save say scale scarf school
science scissors score screen sea search season seat second secret see seed select sell send senior sense
sentence september series serious serve service session seven seventeen seventy several shade shadow shake
shape share sharp sheep shelf shell shine ship shirt shoe shop short shoulder shout show shower shrimp shy
sick side sign signal silence silk silver simple since sing single sister sit six sixteen sixty size skate
sketch ski skin skirt sky sleep slice slide slow small smart smell smile smoke smooth snack snail snake snap
snapchat snapped snapper snapping snapshot snatch sneaker snow snug soap soccer sock sofa soft soil soldier
solid solve some song soon sound soup south space spare spark speak special speech speed spell spend spider
spinach spirit spoon sport spring square squirrel stable stadium staff stage stair stamp stand star start
state station stay steam steel step stick still stomach stone stop store storm story strange straw
strawberry stream street string strong student studio study style subject sudden sugar suit summer sun
sunday sunset supper support sure surface surprise swan sweater sweet swim switch symbol system

table tablet tail take talent talk tall tape target taste taxi tea teach teacher team tear teeth telephone
ten tennis tent term test text thank theater their then theory there thick thin thing think third thirteen
thirty thousand thread three throat through thumb thunder thursday ticket tide tiger tight timber time
tiny tired title toast today toe together tomato tomorrow tone tongue tonight tool tooth top topic total
touch tour toward towel tower town track tractor trade traffic trail train travel tray treasure treat tree
triangle trip trouble truck true trumpet trust truth try tube tuesday tulip tunnel turkey turn turtle
twelve twenty twice twin two type

ugly umbrella uncle under understand uniform union unit universe until upon upper upstairs urban usual
valley value vanilla various vase vegetable velvet version very video view village violin visit voice
volcano volume vote voyage wagon waist wait walk wall wallet walnut want warm wash waste watch water wave
way wax weak wear weather web wednesday week weekend weight welcome well west wet whale wheat wheel when
where whisper whistle white whole why wide wild will wind window wine wing winter wire wisdom wise wish
with without wolf wonder wood wool word work world worry worth wrap wrist write yard year yellow yes
yesterday yet yogurt young your youth zebra zero zone zoo

alex alexander alice amanda anna arthur brian carla charlotte chris daniel david diana edward elena emily
emma felix frank grace hannah harvey helen henry ivan jack jacob james jane jasper jenny jessica john julia
karen kevin laura leo linda lisa lucas lucy maria mark martha martin mary max michael monica nancy nathan
nina noah nora oliver oscar paul peter rachel rebecca robert rosa ruth sally samuel sandra sara sarah simon
sophie stella steven susan thomas tina travis victor victoria walter william

hey hi hello okay oh ah hmm yeah well right sure thanks please sorry goodbye they say hay may gray whey
"""

WORDS: tuple[str, ...] = tuple(dict.fromkeys(_TEXT.split()))
"""Each word once, in lower case."""
