"""Sentences that synthetic voices say as general speech: chat, requests, news, stories, and patterns."""

from __future__ import annotations

import numpy as np

_TEXT = """
The weather will be cloudy tomorrow with a little rain in the afternoon.
I left my keys on the kitchen table again.
Could you pass me the salt, please?
The train to the coast leaves at a quarter past nine.
We should paint the fence before winter comes.
Nobody told me that the meeting had moved to Thursday.
She has been learning the violin for almost three years.
The bakery on the corner sells the best bread in town.
Turn left at the traffic lights and then go straight on.
My grandmother grew tomatoes behind the house.
The museum is closed on Mondays, except in August.
Please remember to water the plants while we are away.
He ran so fast that he lost one of his shoes.
The council voted to keep the old library open.
There is a strange noise coming from the engine.
I would rather walk than wait for the bus.
The soup needs a bit more pepper and some lemon juice.
Scientists have found water under the surface of a distant moon.
Do you want to watch a film tonight?
The cat is asleep on top of the warm laundry.
Prices rose by two percent over the last quarter.
Can you hear the sea from your window?
We took the wrong road and ended up in another village.
The new bridge will be opened by the mayor next spring.
I never know what to say at parties.
Her brother works on a ship that sails to Norway.
Put the milk back in the fridge when you are done.
The children built a castle out of wet sand.
A strong wind blew the roof off the old barn.
Let me think about it and call you back tonight.
The doctor said that I should sleep more and worry less.
He collects stamps from countries that no longer exist.
You can borrow my umbrella if it starts to rain.
The second half of the game was far more exciting.
They planted eleven trees along the river.
I think we have met before, at Helen's wedding.
The printer is out of paper and the ink is running low.
It was so quiet that we could hear the clock in the hall.
Our flight was delayed by fog for more than four hours.
She opened the letter, read it twice, and smiled.
The recipe says to bake it for forty minutes.
A small group of tourists waited in front of the gate.
What time does the pharmacy close on Saturday?
He whistled the same tune all morning.
The teacher asked everyone to write a short story.
There are more stars in the sky than you could ever count.
I forgot my password, and now the account is locked.
The dog barked at the man who brought the parcel.
Every summer we spend two weeks by the lake.
The results of the election will be known by midnight.
Mix the flour and the sugar, then add the butter slowly.
My neighbor plays the trumpet, but not very well.
The mountains were hidden behind a thick white cloud.
Did you lock the door when you went out?
The factory makes parts for bicycles and small motors.
She wore a yellow coat and carried a green bag.
It takes about an hour to get there by car.
The old sailor told us stories until the fire went out.
Nothing on the menu looked good, so I ordered toast.
They argued about the rules and forgot to play the game.
A glass of cold water would be lovely right now.
The company plans to hire three hundred people this year.
I can never find a pen when I need one.
The moon was so bright that we did not need a lamp.
He put the book back on the wrong shelf.
The road to the north is blocked by heavy snow.
Would you mind opening the window a little?
We bought apples, carrots, and a large pumpkin.
The phone rang just as I was getting into the bath.
She speaks four languages and is learning a fifth.
The police are looking for anyone who saw the accident.
Half of the seats in the theater were empty.
My shoes are still wet from this morning.
The baby laughed every time the ball bounced.
It is cheaper to buy the tickets a month ahead.
The river rose quickly after two days of rain.
He has an exam in chemistry on Friday morning.
Leave your coat on the chair by the door.
The lights went out and somebody screamed.
I like the blue one better than the red one.
The farmer counted his sheep and found one missing.
We will land in Madrid in about twenty minutes.
She painted the ceiling while standing on a ladder.
The coffee here is too strong for me.
A new study links short walks to better sleep.
The last bus leaves the station at half past eleven.
You never told me how the story ended.
The boys kicked the ball over the garden wall.
There was a long line outside the bank this morning.
He fixed the radio with a knife and some tape.
Are there any questions before we begin?
The lake freezes every year before the end of December.
My sister sent me a postcard from a tiny island.
The judge asked the witness to speak up.
We need three more chairs for the dinner tonight.
A bird has built its nest right above our door.
The hotel was clean, but the walls were very thin.
I will be there in ten minutes, so please wait.
The report says that the harbor is deeper than it was.
Someone has eaten all the strawberries.
The wheels of the wagon were stuck in the mud.
She asked for a refund, and they gave her a voucher.
On a clear day you can see the island from here.
The elevator stops on every floor except the sixth.
He grew a beard while he lived in the mountains.
Take a deep breath and count to five.
The market opens at seven and is empty by noon.
They say the house on the hill is haunted.
I have an appointment with the dentist tomorrow.
The path goes through the forest and along a stream.
Would anyone like another piece of cake?
The minister will answer questions in parliament today.
My bicycle has a flat tire and a broken light.
The river boat was full of singing people.
She closed her eyes and listened to the rain.
Please fill in the form and sign it at the bottom.
The zoo is home to two young elephants.
He promised to be home before dark.
The storm left thousands of homes without power.
Where did you put the scissors?
I could not hear a word because of the music.
A truck carrying oranges turned over on the highway.
The library lends tools as well as books.
We spent the whole afternoon looking for shells.
The cake was so good that nobody spoke for a while.
Her office is on the third floor, next to the stairs.
The team lost again, but they played much better.
It is too early to tell whether the plan will work.
The gardener cut the roses and swept up the leaves.
I used to live above a shop that sold guitars.
The captain asked all passengers to remain seated.
He added a spoonful of honey to his tea.
The bell of the church rings every quarter of an hour.
My father reads the paper from back to front.
Two men carried a piano up five flights of stairs.
Please keep your voices down, the baby is asleep.
The new phone is thinner, but it costs a lot more.
We waited under a tree until the rain had stopped.
She drew a map on the back of an envelope.
The wall between the two gardens is very old.
I would like to book a table for six people.
The engineers tested the bridge with forty heavy trucks.
You should wear gloves, it is freezing outside.
The film was based on a true story.
There is nothing in the fridge but an onion.
He walked along the beach with his trousers rolled up.
The price of coffee has doubled since last year.
Can we talk about this some other time?
A thin line of smoke rose above the trees.
The students cleaned the park for a school project.
I always cry at the end of that song.
The bus driver waited for the old lady to sit down.
We have lived in this street since I was born.
The waiter brought the wrong soup, but it was delicious.
Heavy fog is expected in the valleys tonight.
She counted the coins and put them in a jar.
The swimming pool will be closed for repairs.
He sold his car and bought a small boat.
Did anybody feed the fish today?
The actor forgot his lines and made up new ones.
They found an old coin under the kitchen floor.
I am not sure that this is the right address.
The sun came out just before we got home.
The company has recalled a popular brand of heater.
My brother can hold his breath for two minutes.
The walls are yellow and the curtains are gray.
Fresh snow covered the tracks of the fox.
You can leave the parcel with the people next door.
The mayor thanked the volunteers for their work.
We danced until our feet hurt.
A camel can go for a week without water.
The lamp in the hall has been flickering for days.
Is this seat free, or are you waiting for someone?
The orchestra played a piece that I had never heard.
He hid the present under the bed.
The airline has canceled every flight until noon.
I wrote it down somewhere, but I cannot find the note.
The smell of fresh bread filled the whole street.
She climbed the tower to take a picture of the sunset.
Our team meets every Tuesday in the small room.
The rabbit disappeared into a hole in the hedge.
It was the hottest day of the year so far.
My uncle repairs clocks and musical boxes.
The ferry crosses the bay six times a day.
Nobody knows who built the tower or why.
You have to push the door quite hard.
The boy gave half of his sandwich to the dog.
The road was narrow, and there were no signs.
We ran out of sugar, so I used honey instead.
An owl called from the woods behind the cabin.
The exhibition shows photographs from the last century.
I would never jump off that bridge.
The new rules apply to all schools from September.
She sat down at the piano and played a slow waltz.
The ice on the pond is not safe yet.
He talked about football for the whole journey.
The key was under the mat, as usual.
Most of the passengers were asleep when the train stopped.
Could I have the bill, please?
The wind has changed, and it smells like rain.
They sell everything from candles to garden furniture.
Last night I dreamed that I could fly.
The carpenter measured the shelf twice.
A good map is better than a bad guide.
We are going to visit my cousins at the weekend.
The candles went out one after another.
Her first book sold fewer than a hundred copies.
The goats have eaten the neighbor's flowers.
Let us begin with a short summary of last week.
The painter mixed a little green into the gray.
My alarm did not ring this morning.
Water boils faster when you cover the pot.
The crowd cheered when the runners came into view.
I bought this jacket in a small shop in Lisbon.
The moon moves around the earth in about a month.
He answered every question with another question.
Someone left a bunch of flowers on the doorstep.
The plane climbed above the clouds and turned east.
There used to be a cinema where the bank is now.
We could share a taxi to the airport.
The jury has not reached a decision yet.
It is rude to read other people's letters.
The sandwiches are for the children.
She learned to swim before she could walk properly.
The fire was put out before anyone was hurt.
I will have the fish with rice and a green salad.
The bees are back in the garden this spring.
The mechanic says the brakes are fine.
Please speak slowly, I am writing this down.
"""

PATTERNS = (
    "Set {a timer} for {number} minutes.",
    "Remind me to call {name} at {number} o'clock.",
    "Play some {music} in the {room}.",
    "Turn {state} the lights in the {room}.",
    "What is the weather like in {place} on {day}?",
    "{name} will be in {place} until {day}.",
    "Send a message to {name} that I will be late.",
    "How do you say {thing} in Spanish?",
    "The {thing} costs {number} dollars and {number} cents.",
    "{name} and {name} are moving to {place} in {month}.",
    "The population of {place} grew by {number} thousand people.",
    "I need {number} pounds of {food} for the {day} dinner.",
    "My flight to {place} lands on {day} at {number} thirty.",
    "Add {food} and {food} to the shopping list.",
    "In {month} the price of {food} fell by {number} percent.",
    "{name} bought a {color} {thing} for the {room}.",
    "There are {number} people waiting in the {room}.",
    "We drove from {place} to {place} in {number} hours.",
    "Do you prefer {food} or {food} for breakfast?",
    "The police in {place} found a {color} {thing} near the river.",
    "Is the {room} window still open?",
    "{name} scored {number} points on {day}.",
    "The meeting with {name} is moved to {day}, {number} o'clock.",
    "Make the {room} a bit warmer, please.",
    "Her birthday is in {month}, on a {day}.",
    "He painted the {room} {color} and hated it.",
    "A {color} {thing} was standing in the middle of the {room}.",
    "Nobody in {place} has seen so much rain since {month}.",
    "The train from {place} is {number} minutes late.",
    "Ask {name} whether the {thing} is ready.",
    "I paid {number} for the {thing}, and {name} paid the rest.",
    "Researchers in {place} studied {number} families for a year.",
    "{name} plays {music} every {day} night.",
    "Cut the {food} into {number} pieces and fry them slowly.",
    "The {color} team from {place} won by {number} goals.",
    "Could you bring the {thing} to the {room}?",
    "{number} times {number} is more than I can work out.",
    "On {day} the museum in {place} will show a {color} {thing}.",
    "{name} says that {food} goes well with {food}.",
    "Stop the {music}, I am talking to {name}.",
)  # fmt: skip

SLOTS = {
    "a timer": ("a timer", "an alarm", "the oven", "the clock"),
    "number": (
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "fourteen", "sixteen", "twenty", "thirty", "forty five", "sixty", "ninety",
    ),
    "name": (
        "Anna", "Peter", "Maria", "Thomas", "Laura", "Ahmed", "Julia", "Victor", "Emma", "Carlos",
        "Sophie", "Leo", "Priya", "Martin", "Yuki", "Hannah", "Omar", "Grace", "Felix", "Nina",
    ),
    "place": (
        "Paris", "Chicago", "Oslo", "Cairo", "Mumbai", "Toronto", "Dublin", "Lima", "Sydney",
        "Vienna", "Boston", "Nairobi", "Kyoto", "Denver", "Glasgow", "Istanbul",
    ),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": ("January", "March", "April", "May", "June", "July", "August", "October", "November"),
    "music": (
        "jazz", "piano music", "rock", "folk songs", "an opera", "the new album", "guitar", "drums",
    ),
    "room": ("kitchen", "bedroom", "hall", "garage", "bathroom", "office", "garden", "basement", "attic"),
    "state": ("on", "off", "up", "down"),
    "thing": (
        "bicycle", "lamp", "guitar", "mirror", "kettle", "suitcase", "blanket", "statue", "ladder",
        "camera", "helmet", "basket", "piano", "tent", "clock", "wagon",
    ),
    "food": (
        "rice", "apples", "cheese", "potatoes", "bread", "salmon", "honey", "mushrooms", "onions",
        "chocolate", "beans", "butter", "noodles", "eggs",
    ),
    "color": ("red", "blue", "green", "yellow", "gray", "purple", "white", "black", "orange"),
}  # fmt: skip
"""What may stand in the braces of `PATTERNS`."""

SENTENCES: tuple[str, ...] = tuple(_TEXT.strip().splitlines())


def fill(pattern: str, generator: np.random.Generator) -> str:
    """Puts random words into the braces of a pattern.

    Args:
        pattern: one of `PATTERNS`.
        generator: draws the words.

    Returns:
        A sentence.
    """
    filled = pattern
    while "{" in filled:
        slot = filled[filled.index("{") + 1 : filled.index("}")]
        filled = filled.replace(f"{{{slot}}}", str(generator.choice(SLOTS[slot])), 1)
    return filled
