// Which words of a category or a title call for which pictogram. English and Chinese.
//
// Each aisle has a background hue and its pictograms, each with the words that mean it. Words are
// singular and lower case; "a b" is a phrase; "~a" speaks for the aisle more than for the pictogram.
// Chinese words are looked for anywhere in a text.

export const AISLES = [
  ["produce", 92, {
    apple: "apple,~fruit,~produce,~organic fruit,~value added fruit,苹果,~水果",
    banana: "banana,plantain,~tropical fruit,香蕉", peach: "peach,nectarine,plum,apricot,~stone fruit,cherry,mango,桃,芒果", pear: "pear,avocado,kiwi,梨,牛油果",
    citrus: "citrus,orange,lemon,lime,grapefruit,tangerine,clementine,mandarin,tangelo,橙,柠檬,柑", berry: "berry,strawberry,raspberry,草莓", blueberry: "blueberry,blackberry,cranberry,蓝莓",
    grapes: "grape,raisin,葡萄", melon: "melon,watermelon,cantaloupe,honeydew,西瓜", pineapple: "pineapple,papaya,coconut,菠萝,凤梨",
    leaf: "lettuce,spinach,cabbage,kale,greens,~vegetable,~veg,romaine,iceberg,asparagus,celery,~蔬菜,~青菜", herb: "herb,parsley,cilantro,basil,mint,dill,rosemary,thyme",
    carrot: "carrot,sweet potato,yam,beet,radish,胡萝卜", tomato: "tomato,番茄,西红柿", onion: "onion,shallot,scallion,洋葱", garlic: "garlic,ginger,大蒜", potato: "potato,potatoe,root vegetable,土豆",
    pepper: "pepper,chili,jalapeno,capsicum,辣椒", mushroom: "mushroom,portabella,蘑菇", broccoli: "broccoli,cauliflower,brussel sprout,西兰花", corn: "corn,corn on cob,玉米", bean: "pea,green bean,edamame,sprout", cucumber: "cucumber,zucchini,squash,eggplant,黄瓜",
    salad: "salad,salad mix,salad bar,slaw,coleslaw,沙拉",
  }],
  ["dairy", 208, {
    milk: "milk,~dairy,cream,half and half,creamer,~milk by product,fluid milk,lactose,牛奶,~乳制品", cheese: "cheese,cheddar,mozzarella,parmesan,feta,brie,奶酪", egg: "egg,鸡蛋", yogurt: "yogurt,yoghurt,cottage cheese,sour cream,pudding,cream cheese,dip,kefir,酸奶", butter: "butter,margarine,spread,黄油",
    icecream: "ice cream,sherbet,sherbt,frozen novelty,water ice,sorbet,gelato,popsicle,wtr ice,冰淇淋,雪糕",
  }],
  ["meat", 12, {
    steak: "~meat,beef,steak,roast,veal,lamb,ham,ground beef,lean,pork,rib,loin,angus,~肉,牛肉,猪肉", drumstick: "chicken,turkey,poultry,wing,duck,breast,drumstick,thigh,鸡,鸭", sausage: "sausage,salami,pepperoni,bratwurst,kielbasa,frankfurter,lunchmeat,bologna,deli meat,香肠", hotdog: "hot dog,hot dogs,hotdog,frank,corn dog", bacon: "bacon,jerky,smoked meat,培根",
    fish: "fish,~seafood,salmon,tuna,tilapia,cod,catfish,鱼,~海鲜", shrimp: "shrimp,crab,lobster,shellfish,clam,oyster,scallop,虾,蟹",
  }],
  ["bakery", 34, {
    bread: "bread,~bakery,loaf,toast,~pastry,baked bread,tortilla,dough,refrgratd dough,面包", baguette: "baguette,french bread,italian bread,breadstick,italian french", bun: "bun,roll,biscuit,croissant,muffin,bagel,hamburger bun,包子", donut: "donut,doughnut,danish,sweet good,~breakfast sweet,~baked sweet good,甜甜圈", cake: "cake,cupcake,brownie,cheesecake,~dessert,layer cake,蛋糕,甜点", pie: "pie,tart,cobbler,pot pie", cookie: "cookie,cracker,wafer,cone,graham,饼干",
  }],
  ["sweets", 336, {
    candy: "candy,gum,mint candy,lollipop,gummy,~sweet,novelty candy,糖果,糖", chocolate: "chocolate,fudge,choc,candy bar,巧克力", popcorn: "popcorn,爆米花",
  }],
  ["pantry", 42, {
    can: "can,soup,broth,~canned,~shelf stable,chili,stew,condensed soup,vegetable - shelf stable,罐头,汤", jar: "sauce,jam,jelly,peanut butter,pnt btr,salsa,pickle,relish,honey,~condiment,mayonnaise,mayo,mustard,ketchup,dressing,salad dressing,sald drsng,sndwch sprd,spread,olive,syrup,molasses,topping,gravy,apple sauce,applesauce,pasta sauce,pickld veg,infant formula,酱,蜂蜜", box: "cereal,cold cereal,hot cereal,box,granola,oatmeal,mix,cake mix,baking mix,pancake mix,dinner mix,dinner mx,~breakfast,toaster pastry,snack bar,granola bar,convenient brkfst,wholesome snack,stuffing,bar,gelatin,麦片,~食品,~零食",
    bag: "chip,~snack,bag snack,pretzel,tortilla chip,potato chip,crisp,cheese puff,pork rind,warehouse snack,corn chip,薯片", sack: "flour,sugar,sweetner,sweetener,meal,~grain,~baking need,~baking,starch,面粉,白糖", shaker: "spice,seasoning,salt,extract,pepper spice,rub,调料,盐", pasta: "pasta,spaghetti,macaroni,lasagna,ravioli,dry noodle,意大利面", noodles: "noodle,ramen,~asian,~oriental,方便面,面条", rice: "rice,quinoa,couscous,大米", bowl: "bean,lentil,hummus,curry,dinner,entree,~prepared food,meal kit,chef shoppe,dry bn,restaurant", nut: "nut,snack nut,peanut,almond,cashew,walnut,pecan,seed,trail mix,dried fruit,坚果", taco: "taco,~hispanic,~mexican,burrito,enchilada,taco shell", pizza: "pizza,frozen pizza,披萨", sandwich: "sandwich,burger,sub,wrap sandwich,lunchable,~deli,汉堡", sushi: "sushi,寿司", frost: "~frozen,~frzn,ice,~frozen food,~freezer,~冷冻",
  }],
  ["drinks", 186, {
    sodacan: "soda,cola,soft drink,energy drink,pop,~carbonated,tonic,sft drnk,汽水,可乐", bottle: "~drink,soft drink bottle,~beverage,bottle,oil,olive oil,vinegar,cooking oil,shortening,sports drink,isotonic,isotonic drink,~饮料,食用油", water: "water,sparkling water,spring water,seltzer,drinking water,矿泉水,纯净水", juice: "juice,drink mix,lemonade,nectar,punch,smoothie,drnk,cider,jce conc,果汁", wine: "wine,champagne,merlot,chardonnay,liquor,spirit,vodka,whiskey,rum,gin,tequila,sherry,红酒,白酒,酒", beer: "beer,ale,lager,malt,malt beverage,啤酒", cup: "coffee,cocoa,espresso,latte,hot chocolate,cocoa mix,mug,cup,coffee filter,咖啡", tea: "tea,chai,茶,茶叶",
  }],
  ["household", 215, {
    spray: "cleaner,chemical,ironing,metal polish,~cleaning,cleang,~household,~household clean,bleach,disinfectant,air care,air freshener,insecticide,polish spray,~清洁", jug: "detergent,~laundry,fabric softener,softener,laundry additive,dishwash,dish soap,antifreeze,motor oil,~洗衣", roll: "tissue,bath tissue,toilet paper,paper towel,towel,toilet tissue,纸巾,卫生纸", napkin: "napkin,facial tissue,facial tiss,wipe,paper houseware,paper plate,feminine hygiene,tampon,pad,cotton,incontinence,湿巾", broom: "broom,mop,brush,sponge,scrubber,扫把", bulb: "bulb,light bulb,lighting,electrical,electrical supply,electrical suppply,灯泡", battery: "battery,电池", candle: "candle,wax,fragrance candle,蜡烛", tool: "tool,sewing,sewing notion,hardware,wrench,hammer,repair,plumbing,automotive tool,工具,五金", pot: "cookware,pan,pot,~kitchen,bakeware,kitchen gadget,~dining,housewares,houseware,plastic houseware,tableware,glassware,dish,~厨房,锅", foil: "foil,wrap,trash bag,food storage,storage bag,fd wrap,trsh bg,foilware,plastic wrap,container", fire: "charcoal,propane,firework,lighter,lighter fluid,grill,firelog,bbq",
  }],
  ["garden", 128, {
    plant: "~garden,plant,lawn,seed packet,bulb plant,outdoor living,patio,foliage,garden center,~园艺,植物", flower: "flower,floral,rose,bouquet,fresh cut,鲜花,花卉,玫瑰",
  }],
  ["health", 168, {
    pill: "vitamin,family planning,h b aids,pill,tablet,~medicine,~health,~pharmacy,supplement,analgesic,antacid,laxative,allergy,cold and flu,cold,cough,pain relief,diet,dietary aid,drug,omega,smoking cessation,药,~保健,维生素", firstaid: "first aid,bandage,medical,wound,eye and ear care,foot care,contact lens,急救", toothbrush: "toothbrush,oral,dental,oral hygiene,floss,口腔,牙刷", tube: "toothpaste,ointment,gel,balm,牙膏", dumbbell: "fitness,~sport,gym,exercise,yoga,protein,健身,~运动", babybottle: "~baby,~infant,formula,diaper,toddler,nursery,baby food,baby hbc,infant care,nursing,~母婴,婴儿,奶粉,尿裤,纸尿裤",
  }],
  ["beauty", 332, {
    pump: "~beauty,shampoo,lotion,conditioner,~skin care,~skincare,~hair care,body wash,moisturizer,hand body,~body,~face,~facial,hair,hair color,styling,sunscreen,suntan,~personal care,cleanser,moisturiser,serum,toner,~护肤,洗发,面霜,乳液,化妆水,精华,爽肤水,肤水,补水,保湿,水乳,洁面,面膜,面霜,护发,防晒,眼霜", soap: "soap,~bath,bar soap,hand soap,shower,香皂,沐浴,沐浴露", lipstick: "lipstick,lip,lip gloss,~makeup,~make up,~cosmetic,mascara,口红,唇膏,唇彩,~彩妆,睫毛膏,眼线,眉笔", powder: "powder,blush,foundation,eyeshadow,eye shadow,compact,concealer,bronzer,粉底,腮红,眼影,粉饼,蜜粉,散粉,bb霜,气垫", polish: "nail,nail polish,manicure,指甲油", perfume: "perfume,fragrance,cologne,eau de parfum,eau de toilette,scent,deodorant,香水,香氛,古龙水", comb: "comb,hair accessory,hair care accessory,hair tool,hair brush,梳", razor: "razor,shaving,shave,shaving care,blade,beard,剃须,剃须刀",
  }],
  ["pets", 28, { paw: "~pet,dog,cat,puppy,kitten,pet care,cat litter,litter,aquarium,bird,~宠物,猫,狗", bone: "dog food,dog treat,cat food,pet food,dog foods,狗粮,猫粮" }],
  ["clothing", 262, {
    shirt: "shirt,~clothing,t shirt,tee,~apparel,top,sweater,jacket,coat,hoodie,menswear,~fashion,~clothes,~服装,~男装,上衣,衬衫,外套", dress: "dress,womenswear,skirt,blouse,lingerie,gown,~女装,连衣裙,裙", trousers: "trousers,pant,jean,short,legging,裤", sock: "sock,hosiery,underwear,stocking,袜", shoe: "shoe,sneaker,boot,sandal,footwear,鞋", handbag: "handbag,purse,luggage,backpack,wallet,tote,箱包,女包,背包", watch: "watch,clock,手表", ring: "jewelry,jewellery,ring,necklace,earring,bracelet,珠宝,首饰,项链",
  }],
  ["electronics", 222, {
    phone: "phone,smartphone,~mobile,prepaid wireless,~wireless,cell phone,iphone,手机", laptop: "laptop,computer,~electronics,notebook computer,tablet computer,pc,keyboard,monitor,software,office product,~电脑,~数码,硬盘,优盘,存储卡,鼠标,键盘", tv: "tv,television,screen,projector,home theater,~appliance,电视,~家电", headphones: "headphone,headset,earbud,speaker,audio,耳机,音响,音箱", camera: "camera,photo,photofinishing,lens,photography,相机,摄影", plug: "charger,cable,adapter,accessory,plug,power,充电,配件", game: "video game,game console,gaming,console,controller,xbox,playstation,nintendo,游戏",
  }],
  ["media", 18, { book: "~book,novel,fiction,bookstore,literature,textbook,kindle,~图书,书,小说,词典", news: "magazine,newspaper,periodical,杂志,报纸", film: "movie,film,dvd,video,blu ray,cinema,电影,影视", music: "music,cd,vinyl,album,record,instrument,音乐,唱片" }],
  ["leisure", 46, {
    block: "~toy,puzzle,lego,board game,building block,~玩具", teddy: "plush,doll,teddy,stuffed animal,娃娃", ball: "ball,basketball,football,soccer,tennis,sporting good,篮球,足球,网球", bicycle: "bicycle,bike,cycling,自行车", tent: "camping,~outdoor,hiking,tent,fishing,~户外,帐篷", car: "car,~automotive,~auto,vehicle,tire,~汽车", fuel: "fuel,gas,gasoline,petrol", plane: "travel,flight,hotel,travel & leisure,旅行", ticket: "ticket,event,concert,lottery,门票",
  }],
  ["home", 24, { sofa: "~furniture,sofa,chair,~home,table,decor,desk,~家具,~家居", bed: "bed,bedding,pillow,mattress,sheet,domestic good,blanket,床,家纺", lamp: "lamp,chandelier,灯,灯具" }],
  ["paper", 205, { pen: "pen,~stationery,school supply,~office,pencil,~paper,art supply,craft,notebook,~文具,~办公", gift: "gift,christmas,~seasonal,party,halloween,easter,valentine,~holiday,toys and gifts,wrap party,礼品,礼物", card: "card,greeting card,postal,envelope,stamp,贺卡", coupon: "coupon,misc item,voucher,优惠券" }],
  ["tobacco", 34, { pack: "cigarette,tobacco,cigar,smoking,烟" }],
  ["general", 40, { hamper: "grocery,food,gourmet,gift basket,picnic,nutrition,organic,pantry,食品饮料,生鲜", tag: "" }],
];
